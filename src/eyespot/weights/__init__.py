"""Model files, and weights to start from."""
