"""Families of problems: a folder each, with everything that belongs to it."""
