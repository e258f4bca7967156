"""Degrade face images by a known severity: ground truth for quality measures."""

from prefiqs_jax.images.degrade.apply import DEGRADATIONS, Degradation, degrade

__all__ = ["DEGRADATIONS", "Degradation", "degrade"]
