"""Masks that are drawn from what other tools write: a file per object, or a file of outlines."""
