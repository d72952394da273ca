"""Pieces that every family draws its random problems from (Hypothesis)."""
