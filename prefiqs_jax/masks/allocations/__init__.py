"""Allocations: how many weights go where, each an object with a ``rank`` function."""

import re
from collections.abc import Mapping

from prefiqs_jax.masks.allocation import Allocation
from prefiqs_jax.masks.allocations.groups import blocks, blocks_of, channels, filters
from prefiqs_jax.masks.allocations.joint import globally
from prefiqs_jax.masks.allocations.lamp import lamp
from prefiqs_jax.masks.allocations.layers import budgets, erk, inner_layers, layerwise
from prefiqs_jax.masks.allocations.n_m import n_m
from prefiqs_jax.masks.allocations.outputs import per_output

ALLOCATIONS: Mapping[str, Allocation] = {
    each.name: each
    for each in (
        globally,
        layerwise,
        lamp,
        erk,
        inner_layers,
        per_output,
        filters,
        channels,
        blocks,
        n_m(2, 4),
        n_m(1, 4),
        n_m(4, 8),
    )
}
"""Allocations by name; ``N:M`` and ``blocksRxC`` are found with other numbers, too."""


def find_allocation(name: str) -> Allocation | None:
    """Find an allocation by its name, such as ``erk``, ``2:4`` or ``blocks8x8``."""
    if name in ALLOCATIONS:
        return ALLOCATIONS[name]
    if found := re.fullmatch(r"(\d{1,3}):(\d{1,3})", name):
        return n_m(*map(int, found.groups()))
    if found := re.fullmatch(r"blocks(\d{1,4})x(\d{1,4})", name):
        return blocks_of(*map(int, found.groups()))
    return None


__all__ = [
    "ALLOCATIONS",
    "blocks",
    "blocks_of",
    "budgets",
    "channels",
    "erk",
    "filters",
    "find_allocation",
    "globally",
    "inner_layers",
    "lamp",
    "layerwise",
    "n_m",
    "per_output",
]
