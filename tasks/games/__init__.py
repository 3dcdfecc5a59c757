"""What the matrix games share and what can be known about them exactly: payoff matrices, Kuhn
poker's tree, the reply parser."""
