"""WHAT A ROUND DOES: one file a phase, called by `league.loop`."""
