"""The papers' experiments: run, resume, plot, compare with the exact gradient."""
