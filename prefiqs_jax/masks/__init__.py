"""Sparsity masks: a score ranks weights, an allocation cuts the ranking.

>>> import numpy as np
>>> from prefiqs_jax.masks import layerwise
>>> def filter_norm(name, w):
...     "Score output filters by their L2 norm."
...     return np.sqrt((w**2).sum(axis=tuple(range(w.ndim - 1)), keepdims=True))
>>> mask = layerwise(filter_norm)({"w": np.array([[3.0, 1.0], [4.0, 1.0]])}, 0.5)
>>> mask["w"].tolist()
[[True, False], [True, False]]
"""

from prefiqs_jax.masks.allocation import RankedMask, globally, layerwise
from prefiqs_jax.masks.direction import achieved_sparsity, apply_mask, pruning_delta
from prefiqs_jax.masks.named import mask_named, mask_names
from prefiqs_jax.masks.scores import SCORES, ScoreEntry
from prefiqs_jax.masks.scores.magnitude import magnitude
from prefiqs_jax.masks.scores.random import random

__all__ = [
    "SCORES",
    "RankedMask",
    "ScoreEntry",
    "achieved_sparsity",
    "apply_mask",
    "globally",
    "layerwise",
    "magnitude",
    "mask_named",
    "mask_names",
    "pruning_delta",
    "random",
]
