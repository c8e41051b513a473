"""What is learned: the class of an image, or the class of each pixel."""
