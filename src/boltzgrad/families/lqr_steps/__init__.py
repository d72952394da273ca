"""Linear-quadratic followers that plan for a finite number of steps."""
