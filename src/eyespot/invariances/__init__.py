"""Which changes of an image leave a prediction as it is. The function is `eyespot.invariance`; this package has its pieces."""
