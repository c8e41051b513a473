"""Random transforms of images and masks."""
