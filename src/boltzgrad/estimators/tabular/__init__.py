"""Tabular problems as sampled: worlds, trajectories, critics, cotangents."""
