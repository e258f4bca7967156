"""Intervals of curves and areas: people, images or comparisons resampled or left out."""
