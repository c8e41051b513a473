"""What may change in a data set's images without changing their class, learned from the training images."""
