"""The Python interface: what `import league` offers to scripts and notebooks.

docs/python.md describes it.

`training.py` trains and resumes, `run.py` opens a run, `tables.py` and `payoff_tables.py` make its DataFrames,
`agent.py` speaks and exports, `callbacks.py` is called after each round. Nothing here is imported before it is used,
and pandas only where a table is made.
"""
