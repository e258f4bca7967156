"""Optimisation of quality labels, after the paper's supplement."""
