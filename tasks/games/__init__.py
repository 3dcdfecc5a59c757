"""What the matrix games share and what can be known about them exactly.

Payoff matrices, Kuhn poker's tree, the reply parser.
"""
