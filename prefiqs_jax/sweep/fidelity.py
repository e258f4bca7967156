"""How far a lower precision moves a run's numbers, measured on its own images."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.execution.precision import at_precision
from prefiqs_jax.sweep.executor import Executor
from prefiqs_jax.sweep.planner import Planner
from prefiqs_jax.types import ApplyFn

ALLOWED = 1e-3
"""Relative error up to which a precision may stand for float32."""


def precision_error(
    apply_fn: ApplyFn,
    images: NDArray,
    executor: Executor,
    *,
    memory_limit: int | None = None,
) -> dict[str, Any]:
    """Measure the same images as a run does and in ``highest``, and compare.

    Parameters
    ----------
    apply_fn
        The network, in no precision of its own.
    images
        Preprocessed, shape (n, height, width, channels).
    executor
        That of the run whose precision is judged; its program is used as it is, and
        its weights and masks where they are.
    memory_limit
        Bytes, as for :func:`prefiqs_jax.sweep.planner.Planner`.

    Returns
    -------
    dict
        ``images``: n; ``first_order`` and ``drift``: median and largest relative error
        over images and sparsities.
    """
    problem = dataclasses.replace(
        executor.problem,
        apply_fn=at_precision(apply_fn, "highest"),
        precision="highest",
    )
    planner = Planner(
        problem,
        images.shape[1:],
        len(images),
        dtype=images.dtype,
        batch_size=len(images),
        memory_limit=memory_limit,
    )
    ours = executor.finish(executor.start(images)).compared
    reference = Executor(planner)
    exact = reference.finish(reference.start(images)).compared
    return {
        "images": len(images),
        "first_order": _relative(ours.first_order, exact.first_order),
        "drift": _relative(ours.drift, exact.drift),
    }


def describe_error(precision: str, error: dict[str, Any]) -> str:
    """Say it in a line."""
    first, drift = error["first_order"], error["drift"]
    text = (
        f"precision {precision} against highest, {error['images']} images: first_order "
        f"within {first['largest']:.1e} (median {first['median']:.1e}), drift within "
        f"{drift['largest']:.1e} (median {drift['median']:.1e}), relative"
    )
    if max(first["largest"], drift["largest"]) > ALLOWED:
        text += f"; more than {ALLOWED:g}: compare only runs of this precision"
    return text


def _relative(ours: ArrayLike, exact: ArrayLike) -> dict[str, float]:
    ours, exact = np.asarray(ours), np.asarray(exact)
    moved = exact != 0  # at sparsity 0 there is nothing to be relative to
    error = np.abs(ours - exact)[moved] / exact[moved]
    if not error.size:
        return {"median": 0.0, "largest": 0.0}
    return {"median": float(np.median(error)), "largest": float(error.max())}
