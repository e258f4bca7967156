"""Run a network on a few images at a time, where it is memory-bound.

A network of depthwise convolutions or small matrices does little with a number before
it stores it. On a CPU its activations should stay in the processor's cache: a batch
then goes through it slice by slice, within one program.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.execution.jaxprs import bodies
from prefiqs_jax.trees import is_prunable, named_leaves
from prefiqs_jax.types import ApplyFn, Images, Params

LARGEST_SLICE = 8
"""Images whose activations a processor's cache holds; slices of 4 are about as good."""

MEMORY_BOUND = 100.0
"""Intensity below which slices pay on a CPU. SFace (intensity 45), 16 images, S = 10,
takes 25 forwards in slices of eight with one direction at a time, 26 in slices of four,
27 with two directions, and 64 all at once: masks are then unpacked for every pixel of a
depthwise convolution. ViT-T (51) gains by slices, iResNet-18 (239) loses."""


def in_slices(function: Callable[..., Any], size: int | None, axis: int = 0) -> Any:
    """Run a function on ``size`` images at a time; they must divide the batch.

    Activations then stay in a processor's cache, those of a backward pass, too.

    Parameters
    ----------
    function
        ``(weights, images, …) -> numbers``, one array or a tree of them; arrays but the
        weights have the images on their first axis.
    size
        None = all at once.
    axis
        That of the images in the result: 0, or -1.
    """
    if size is None:
        return function

    def joined(found: Array) -> Array:
        if axis:  # (slices, …, images of a slice)
            found = jnp.moveaxis(found, 0, -2)
            return found.reshape(*found.shape[:-2], -1)
        return found.reshape(-1, *found.shape[2:])

    def sliced(weights: Any, *arrays: Array | np.ndarray) -> Any:
        parts = tuple(each.reshape(-1, size, *each.shape[1:]) for each in arrays)
        found = jax.lax.map(lambda some: function(weights, *some), parts)
        return jax.tree.map(joined, found)

    return sliced


def cache_friendly(apply_fn: ApplyFn) -> ApplyFn:
    """Run a network in slices where that pays as a rule; decided when it is traced."""

    def run(params: Params, images: Images) -> Array:
        size = None
        if jax.default_backend() == "cpu":
            shapes = jax.eval_shape(lambda *both: both, params, images[:1])
            size = default_slice(len(images), network_intensity(apply_fn, *shapes))
        return in_slices(apply_fn, size)(params, images)

    return run


def slices_of(batch: int) -> list[int]:
    """List sizes of slices that a batch can be cut into, the better first.

    >>> slices_of(32), slices_of(12), slices_of(7)
    ([8, 4], [6, 4, 3], [])
    """
    largest = min(LARGEST_SLICE, batch - 1)
    return [size for size in range(largest, 2, -1) if batch % size == 0]


def default_slice(batch: int, intensity: float) -> int | None:
    """Give the size of slices that is best as a rule; None = the whole batch at once.

    `batch` counts the images of one device; `intensity` is operations a byte, see
    :func:`network_intensity`.
    """
    if jax.default_backend() != "cpu" or intensity >= MEMORY_BOUND:
        return None
    return next(iter(slices_of(batch)), None)


def network_intensity(apply_fn: ApplyFn, params: Params, image: Any) -> float:
    """Count the operations of a network for each byte that its linearised pass keeps.

    Linearised in its weights of products, as sweeps do. Nothing is computed, shapes are
    enough: `image` is one preprocessed image (1, height, width, channels), or its
    ``jax.ShapeDtypeStruct``.
    """
    leaves, structure = jax.tree.flatten(params)
    places = [i for i, each in enumerate(named_leaves(params)) if is_prunable(*each)]

    def raw(some: list[Any], images: Any) -> Any:
        every = [jnp.zeros(leaf.shape, leaf.dtype) for leaf in leaves]
        for place, weights in zip(places, some, strict=True):
            every[place] = weights
        return apply_fn(structure.unflatten(every), images)

    jaxpr = jax.make_jaxpr(apply_fn)(params, image).jaxpr
    kept = kept_bytes(raw, [leaves[place] for place in places], image)
    return operations(jaxpr) / max(1, kept)


def kept_bytes(apply_fn: ApplyFn, params: Params, image: Any) -> int:
    """Count the bytes that a pass linearised in the weights keeps for each image."""

    def residuals(weights: Params, images: Any) -> Any:
        return jax.linearize(lambda w: apply_fn(w, images), weights)[1]

    def total(batch: int) -> int:
        images = jax.ShapeDtypeStruct((batch, *image.shape[1:]), image.dtype)
        kept = jax.eval_shape(residuals, params, images)
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))

    # What does not grow with the batch is weights.
    return int(total(2) - total(1))


def operations(jaxpr: Any) -> int:
    """Count two for each multiplication in the products of a program."""
    count = 0
    for equation in jaxpr.eqns:
        name, settings = equation.primitive.name, equation.params
        if name == "dot_general":
            (axes, _), _ = settings["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            each = math.prod(shape[axis] for axis in axes)
            count += 2 * math.prod(equation.outvars[0].aval.shape) * each
        elif name == "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            outputs = kernel[settings["dimension_numbers"].rhs_spec[0]]
            each = math.prod(kernel) // outputs
            count += 2 * math.prod(equation.outvars[0].aval.shape) * each
        else:
            count += sum(operations(body) for body in bodies(equation))
    return count
