"""Routes for Markov games; one file a route."""
