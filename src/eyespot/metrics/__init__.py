"""How good predictions are: metrics with 95% intervals."""
