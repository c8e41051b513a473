"""Tables of numbers as signals: the text, its delimiter and decimals, its header, and which columns are channels."""
