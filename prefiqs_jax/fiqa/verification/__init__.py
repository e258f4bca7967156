"""Comparisons of faces: their similarity, thresholds and error rates."""
