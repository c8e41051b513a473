"""Data sets that augmentation shows or enlarges: originals and changed copies, with a table of what was done."""
