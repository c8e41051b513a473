"""Images that occur twice in a data set, or that a network has seen before."""
