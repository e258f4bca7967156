"""Make face pictures worse by a known amount: ground truth for quality measures."""

from prefiqs_jax.images.degrade.contract import Degradation
from prefiqs_jax.images.degrade.ladder import DEGRADATIONS, degrade

__all__ = ["DEGRADATIONS", "Degradation", "degrade"]
