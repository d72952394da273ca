"""Random numbers for the letters, at a complex point: values and, as imaginary parts, their derivatives."""
