"""Linear-quadratic problems as sampled: worlds, trajectories, critics, cotangents."""
