"""What is in a data set, what was guessed about it, and what would spoil a result."""
