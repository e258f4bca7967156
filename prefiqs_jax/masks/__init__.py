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

from prefiqs_jax.masks.allocation import Allocation, Leaf, RankedMask
from prefiqs_jax.masks.allocations import (
    ALLOCATIONS,
    blocks,
    blocks_of,
    budgets,
    channels,
    erk,
    filters,
    globally,
    inner_layers,
    lamp,
    layerwise,
    n_m,
    per_output,
)
from prefiqs_jax.masks.changes import (
    delta_between,
    mask_between,
    noise,
    quantised,
)
from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.direction import achieved_sparsity, apply_mask, pruning_delta
from prefiqs_jax.masks.learned import (
    Learned,
    Moved,
    best_agreement,
    learn_mask,
    least_drift,
    separation,
)
from prefiqs_jax.masks.listed import masks_listed
from prefiqs_jax.masks.losses import instance_discrimination
from prefiqs_jax.masks.named import (
    AnyMask,
    NamedDelta,
    NamedMask,
    mask_named,
    mask_names,
)
from prefiqs_jax.masks.scores import SCORES, ScoreEntry
from prefiqs_jax.masks.scores.magnitude import magnitude
from prefiqs_jax.masks.scores.random import random

__all__ = [
    "ALLOCATIONS",
    "SCORES",
    "Allocation",
    "AnyMask",
    "Context",
    "Leaf",
    "Learned",
    "Moved",
    "NamedDelta",
    "NamedMask",
    "RankedMask",
    "ScoreEntry",
    "achieved_sparsity",
    "apply_mask",
    "best_agreement",
    "blocks",
    "blocks_of",
    "budgets",
    "channels",
    "delta_between",
    "erk",
    "filters",
    "globally",
    "inner_layers",
    "instance_discrimination",
    "lamp",
    "layerwise",
    "learn_mask",
    "least_drift",
    "magnitude",
    "mask_between",
    "mask_named",
    "mask_names",
    "masks_listed",
    "n_m",
    "noise",
    "per_output",
    "pruning_delta",
    "quantised",
    "random",
    "separation",
]
