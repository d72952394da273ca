"""boltzgrad."""
