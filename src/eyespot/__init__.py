"""eyespot: a folder of images in, a network that its owner can trust out."""

__version__ = "0.1.0"
