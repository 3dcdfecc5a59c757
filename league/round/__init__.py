"""WHAT A ROUND DOES: one file a phase (schedule, learn, measure, guard, evolve, stop, report), called by `league.loop`."""
