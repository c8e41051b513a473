"""What the pixels of masks mean, and arrays of classes from them."""
