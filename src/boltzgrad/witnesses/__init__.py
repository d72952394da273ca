"""Routes that serve any family."""
