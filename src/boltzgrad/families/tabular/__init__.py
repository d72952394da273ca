"""Routes for tabular problems (configurable MDPs); one file a route."""
