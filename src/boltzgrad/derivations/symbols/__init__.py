"""The letters of the three families, one file each."""
