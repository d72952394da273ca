"""What every family is made from: arrays, problems, records of results, and what a family is."""
