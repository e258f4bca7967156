"""How far a lower precision moves a run's numbers, measured on its own pictures."""

from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.aliases import ApplyFn, Params
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.precision import Precision
from prefiqs_jax.sweep.engine import pose
from prefiqs_jax.sweep.executor import Executor
from prefiqs_jax.sweep.memory import must_shard
from prefiqs_jax.sweep.planner import Planner

ALLOWED = 1e-3
"""Relative error up to which a precision may stand for float32."""


def precision_error(
    apply_fn: ApplyFn,
    params: Params,
    masks: PackedMasks,
    images: NDArray,
    precision: Precision,
    *,
    memory_limit: int | None = None,
) -> dict[str, Any]:
    """Measure the same images in a precision and in ``highest``, and compare.

    Parameters
    ----------
    apply_fn, params, masks
        Network and masks.
    images
        Preprocessed, shape (n, height, width, channels).
    precision
        To be judged.
    memory_limit
        Bytes, as for :func:`prefiqs_jax.sweep.planner.Planner`.

    Returns
    -------
    dict
        ``images``: n; ``first_order`` and ``drift``: median and largest relative error
        over images and sparsities.
    """
    found = {}
    sharded = must_shard(params, masks, len(jax.local_devices()), memory_limit)
    for each in (precision, "highest"):
        problem = pose(apply_fn, params, masks, precision=each, sharded=sharded)
        executor = Executor(
            Planner(
                problem,
                images.shape[1:],
                len(images),
                dtype=images.dtype,
                batch_size=len(images),
                memory_limit=memory_limit,
            )
        )
        found[each] = executor.finish(executor.start(images)).compared
    return {
        "images": len(images),
        "first_order": _relative(
            found[precision].first_order, found["highest"].first_order
        ),
        "drift": _relative(found[precision].drift, found["highest"].drift),
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


def _relative(ours: NDArray, exact: NDArray) -> dict[str, float]:
    moved = exact != 0  # at sparsity 0 there is nothing to be relative to
    error = np.abs(ours - exact)[moved] / exact[moved]
    if not error.size:
        return {"median": 0.0, "largest": 0.0}
    return {"median": float(np.median(error)), "largest": float(error.max())}
