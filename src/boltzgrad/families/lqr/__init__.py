"""Routes for linear-quadratic problems; one file a route."""
