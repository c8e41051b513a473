"""The kinds of file that can be read, one module each."""
