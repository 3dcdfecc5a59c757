"""From a run's store to plain views (`league.reporting.views`).

Everything people see of a run passes through here, so it can be rebuilt at any time. Suffixes name the axes of arrays:
`_NN` agents × agents, `_TS` teachers × students, `_RC` rows × columns.
"""
