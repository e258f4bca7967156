"""The types that the whole package speaks, with the definitions of its terms.

=====================  ==============================================================
``sparsity``           fraction of prunable weights that are set to zero, in [0, 1)
``achieved_sparsity``  the same, counted
``mask``               which weights stay: bools in the parameters' form, True = keep
``delta``              pruning direction (mask - 1) ⊙ θ: θ + δ is the pruned network
``raw_embedding``      output of the network, shape (batch, dim)
``embedding``          unit face vector, the raw embedding over its Euclidean norm
``jvp``                directional derivative J_θ z · δ of the embedding z, (batch, dim)
``first_order``        its norm, the first-order drift, (batch,)
``displacement``       z(θ + δ) - z(θ), (batch, dim)
``drift``              its norm, in [0, 2], (batch,)
``quality``            utility of an image, higher = better, always
=====================  ==============================================================
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jax import Array
from jaxtyping import Float, PyTree

Params: TypeAlias = PyTree[Any]
"""Weights of a network: plain nested dicts of arrays."""

Mask: TypeAlias = PyTree[Any]
"""Same structure and shapes as ``Params``, bool, True = keep."""

Delta: TypeAlias = PyTree[Any]
"""Same structure, shapes and dtypes as ``Params``."""

Images: TypeAlias = Float[Array | np.ndarray, "batch ..."]
"""Preprocessed images as one network expects them: (batch, height, width, channels)."""

Embeddings: TypeAlias = Float[Array, "batch dim"]


@runtime_checkable
class ApplyFn(Protocol):
    """Map ``(params, images)`` to raw embeddings, deterministically, image by image."""

    def __call__(self, params: Params, images: Any, /) -> Array:
        """Return raw embeddings of shape (batch, dim)."""
        ...


@runtime_checkable
class ActivationsFn(Protocol):
    """Map ``(params, images)`` to the inputs of activations, 0 at their kinks."""

    def __call__(self, params: Params, images: Any, /) -> dict[str, Array]:
        """Return inputs by name, each of shape (batch, ...)."""
        ...


Score: TypeAlias = Callable[[str, Any], Any] | Callable[[str, Any, Any], Any]
"""``(leaf name, weights) -> scores``, broadcastable, or ``(leaf name, weights, context)
-> scores`` where it needs data; the lowest go first."""

Prunable: TypeAlias = Callable[[str, Any], bool]
"""``(leaf name, weights) -> bool``: may this leaf be pruned?"""


@runtime_checkable
class MaskFn(Protocol):
    """Map parameters and a sparsity to a mask."""

    def __call__(self, params: Params, sparsity: float) -> Mask:
        """Return the mask, True = keep."""
        ...
