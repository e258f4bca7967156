"""Intervals of curves and areas: people or images resampled or left out."""
