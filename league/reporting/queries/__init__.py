"""From a run's store to plain views (`league.reporting.views`). Everything people see of a run passes through here."""
