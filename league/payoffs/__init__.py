"""WHO BEATS WHOM: outcomes, estimates with their uncertainty, certified cycles, solvers, ratings.

Pure functions of data, one algorithm per file; the database is `league.store`'s. Start at `matrix.py` (the value),
`solvers.py` (the closed dict), `analyze.py` (everything at once, what `league analyze` prints) and `view.py` (a live
league's payoffs).
"""
