"""Faster code for what PyTorch also does. Everything works without it."""
