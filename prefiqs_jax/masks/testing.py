"""Hold a score or a mask of your own to the contract that built-in ones keep.

In a test of yours::

    from prefiqs_jax.masks.testing import check_score

    def test_my_score():
        check_score(my_score)
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.allocation import Allocation, RankedMask
from prefiqs_jax.masks.allocations import globally, layerwise
from prefiqs_jax.masks.context import Context
from prefiqs_jax.masks.direction import achieved_sparsity, apply_mask, pruning_delta
from prefiqs_jax.trees import named_leaves
from prefiqs_jax.types import Params, Score

SPARSITIES = (0.0, 0.05, 0.3, 0.5, 0.77)
TYPES = ("float32", "float16", "bfloat16")


def example_network(dtype: str = "float32") -> tuple[Any, Params, Array]:
    """Make a small network: a convolution, PReLU, a dense layer with bias.

    Parameters
    ----------
    dtype
        Type of weights and images.

    Returns
    -------
    apply_fn : callable
        ``(params, images) -> raw embeddings`` (batch, 6).
    params : dict
        ``conv/kernel``, ``conv/slope``, ``fc/kernel``, ``fc/bias``.
    images : Array
        Shape (5, 6, 6, 4).
    """
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        fan_in = max(1, int(np.prod(shape[:-1])))
        values = rng.standard_normal(shape) / np.sqrt(fan_in)
        return jnp.asarray(values, dtype)

    params = {
        "conv": {"kernel": draw(3, 3, 4, 8), "slope": draw(8)},
        "fc": {"bias": draw(6), "kernel": draw(128, 6)},
    }

    def apply_fn(params: Params, images: Array) -> Array:
        y = jax.lax.conv_general_dilated(
            images,
            params["conv"]["kernel"],
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        y = jnp.where(y > 0, y, params["conv"]["slope"][None, None, None] * y)
        flat = y.reshape(len(y), -1)
        return flat @ params["fc"]["kernel"] + params["fc"]["bias"][None]

    return apply_fn, params, draw(5, 6, 6, 4)


def check_score(
    score: Score,
    allocations: Sequence[Allocation] = (globally, layerwise),
    *,
    sparsities: Sequence[float] = SPARSITIES,
    earlier: Params | None = None,
) -> None:
    """Check that a score keeps the contract with every allocation given.

    Runs it on :func:`example_network` in float32, float16 and bfloat16.

    Parameters
    ----------
    score
        ``(name, weights)`` or ``(name, weights, context)``.
    allocations
        To compose it with.
    sparsities
        Ascending, each in [0, 1).
    earlier
        Weights of an earlier checkpoint, if the score asks for them; by default half of
        the example's.

    Raises
    ------
    AssertionError
        If a mask is not bool or not of the parameters' form, touches what is not
        prunable, drops anything at sparsity 0, is not nested, differs between two
        calls, or (with one score per weight) has another count than asked for.
    InputError
        If the score gives NaN, a constant, or a shape that does not broadcast.

    Examples
    --------
    >>> check_score(lambda name, weights: abs(weights))
    """
    for dtype in TYPES:
        apply_fn, params, images = example_network(dtype)
        before = earlier or jax.tree.map(lambda w: w / 2, params)
        context = Context(apply_fn, images, earlier=before)
        for allocation in allocations:
            mask = dataclasses.replace(allocation(score), context=context)
            check_mask(mask, params, sparsities=sparsities)


def check_mask(
    mask_fn: Any, params: Params, *, sparsities: Sequence[float] = SPARSITIES
) -> None:
    """Check that a mask function keeps the contract on these parameters.

    Parameters
    ----------
    mask_fn
        ``(params, sparsity) -> mask``.
    params
        Tree of weights.
    sparsities
        Ascending, each in [0, 1).

    Raises
    ------
    AssertionError, InputError
        As :func:`check_score` does; nesting and counts are asked of rankings only.
    """
    kept = jax.tree.map(lambda w: np.array(w), params)
    made = [mask_fn(params, sparsity) for sparsity in sparsities]
    for sparsity, mask in zip(sparsities, made, strict=True):
        _check_form(params, mask)
        again = mask_fn(params, sparsity)
        same = jax.tree.map(np.array_equal, mask, again)
        assert all(jax.tree.leaves(same)), f"two masks at {sparsity} differ"
        pruned = jax.tree.map(jnp.add, params, pruning_delta(params, mask))
        equal = jax.tree.map(np.array_equal, pruned, apply_mask(params, mask))
        assert all(jax.tree.leaves(equal)), f"params + delta at {sparsity} is another"
        if sparsity == 0:
            whole = all(np.all(keep) for keep in jax.tree.leaves(mask))
            assert whole, "sparsity 0 drops weights"
    unchanged = jax.tree.map(np.array_equal, kept, params)
    assert all(jax.tree.leaves(unchanged)), "the weights were changed in place"
    if isinstance(mask_fn, RankedMask):
        _check_ranked(mask_fn, params, sparsities, made)
    for sparsity in (1.0, -0.1, float("nan")):
        try:
            mask_fn(params, sparsity)
        except InputError:
            continue
        if isinstance(mask_fn, RankedMask):
            message = f"sparsity {sparsity} was accepted"
            raise AssertionError(message)


def _check_form(params: Params, mask: Any) -> None:
    structures = jax.tree.structure(params), jax.tree.structure(mask)
    assert structures[0] == structures[1], "mask and parameters differ in structure"
    pairs = zip(named_leaves(params), jax.tree.leaves(mask), strict=True)
    for (name, weights), keep in pairs:
        assert np.shape(keep) == np.shape(weights), f"{name}: shape {np.shape(keep)}"
        assert np.asarray(keep).dtype == bool, f"{name}: {np.asarray(keep).dtype}"


def _check_ranked(
    mask_fn: RankedMask,
    params: Params,
    sparsities: Sequence[float],
    masks: Sequence[Any],
) -> None:
    """Check what a ranking promises: nested masks, exact counts, leaves untouched."""
    for name, keep in (each for mask in masks for each in named_leaves(mask)):
        leaf = dict(named_leaves(params))[name]
        assert mask_fn.prunable(name, leaf) or np.all(keep), f"{name} lost weights"
    for fuller, sparser in itertools.pairwise(masks):
        pairs = zip(jax.tree.leaves(fuller), jax.tree.leaves(sparser), strict=True)
        assert all(np.all(less <= more) for more, less in pairs), "masks are not nested"
    for sparsity, levels in zip(sparsities, masks, strict=True):
        total, layers = achieved_sparsity(params, levels, mask_fn.prunable)
        named = [(n, w) for n, w in named_leaves(params) if mask_fn.prunable(n, w)]
        scored = _sizes(mask_fn, params)
        if mask_fn.allocation.name in ("global", "lamp"):
            count = sum(int(np.size(w)) for _, w in named)
            if scored == {n: int(np.size(w)) for n, w in named}:
                assert round(total * count) == round(sparsity * count), "another count"
        elif mask_fn.allocation.name == "layerwise":
            for name, _ in named:
                wanted = round(sparsity * scored[name]) / max(1, scored[name])
                assert abs(layers[name] - wanted) < 1e-12, f"{name}: another count"


def _sizes(mask_fn: RankedMask, params: Params) -> dict[str, int]:
    """Count the scores of each leaf."""
    return {n: s.size for n, s in mask_fn.rank(params, [0.5]).levels.items()}
