"""WIN RATES AND WHAT THEY SAY: estimates with their uncertainty, certified cycles, solvers, ratings.

Pure functions of data, one algorithm per file; the database is `league.store`'s. Start at `matrix.py` (the value),
`solvers.py` (the closed dict), `analyze.py` (everything at once, what `league analyze` prints) and `view.py` (a live
league's payoffs).

Arrays name their axes, one letter an axis, here and in `league.matchmaking` and `league.population`: `margin_NN`.

    N  agents, or versions, of one matrix        P  candidate pairings of a match
    R, C  rows and columns asked for             M  rules of a mixture; in `nash.py` N + 1
    E  pairs i < j of N agents; equations        D  pairings whose weight is drawn
    B  resampled tables, worked on at once       X  stored cells of a payoff view
    K  a subset, or items of a list              V  versions known to a view, Q versions asked for
    G  groups (closed classes of a chain)        U, W  rows and columns a slice has met
    F  free directions                           L  meetings of one round
    T, S  teachers and students (`teaching.py`)  a digit: that many columns, told where they are made

Fields of public values (`Counts.wins`, `Sums.n`) carry no suffix; their docstrings give the shape.
"""
