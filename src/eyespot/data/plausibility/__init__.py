"""Doubts about how a data set was read, and about what a network could learn from it instead of the content."""
