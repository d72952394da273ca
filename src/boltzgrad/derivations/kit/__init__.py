"""What proofs are made of: letters and rules, words, sums, methods that decide, and numbers."""
