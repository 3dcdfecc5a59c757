"""Proof by fault: a scripted league that exercises the whole store, and ways to hurt it.

`python -m tests.chaos` runs the long form.
"""
