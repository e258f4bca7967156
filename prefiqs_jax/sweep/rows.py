"""From arrays to rows: measure images that are in memory, lay numbers out as rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision
from prefiqs_jax.masks import Context, NamedMask
from prefiqs_jax.masks.named import as_named
from prefiqs_jax.masks.packed import PackedMasks, pack_masks
from prefiqs_jax.sensitivity import Agreement, check_norms
from prefiqs_jax.sweep.engine import Measured, prepare
from prefiqs_jax.sweep.executor import Executor
from prefiqs_jax.sweep.planner import Planner
from prefiqs_jax.types import ApplyFn, MaskFn, Params

if TYPE_CHECKING:
    import pandas as pd


def measure_images(
    apply_fn: ApplyFn,
    params: Params,
    mask: NamedMask | MaskFn,
    sparsities: Sequence[float],
    images: NDArray,
    *,
    names: Sequence[str] | None = None,
    identities: Sequence[str | None] | None = None,
    backbone: str = "network",
    batch_size: int | None = None,
    memory_limit: int | None = None,
    precision: Precision = DEFAULT_PRECISION,
) -> "pd.DataFrame":
    """Measure first-order and real drift of images in memory, for trying out masks.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim), image by image.
    params
        Dense weights θ.
    mask
        ``(params, sparsity) -> mask``, True = keep. One that needs data is calibrated
        on these images.
    sparsities
        Each in [0, 1).
    images
        As the network expects them, shape (count, height, width, channels).
    names, identities
        One for each image; by default its index, and unknown.
    backbone
        Name for the rows.
    batch_size, memory_limit, precision
        As in :class:`prefiqs_jax.sweep.SweepOptions`.

    Returns
    -------
    pandas.DataFrame
        Columns of :class:`prefiqs_jax.results.DriftRow`, as ``results.read`` has them.

    Raises
    ------
    InputError
        If a sparsity or mask cannot be used, names and images differ in number, or an
        embedding is zero or not finite.
    """
    images = np.asarray(images)
    names, people = check_names(len(images), names, identities)
    mask = as_named(mask)
    if mask.uses_network:
        mask = mask.bind(Context(apply_fn, images))
    masks = pack_masks(mask.mask_fn, params, sparsities, mask.prunable, name=mask.name)
    return measure_packed(
        apply_fn,
        params,
        masks,
        images,
        names,
        people,
        backbone=backbone,
        batch_size=batch_size,
        memory_limit=memory_limit,
        precision=precision,
    )


def check_names(
    count: int,
    names: Sequence[str] | None,
    identities: Sequence[str | None] | None,
) -> tuple[list[str], list[str | None]]:
    """Give images names, by default their index; InputError where numbers differ."""
    names = [str(i) for i in range(count)] if names is None else list(names)
    people = [None] * count if identities is None else list(identities)
    if not count == len(names) == len(people) > 0:
        message = (
            f"{count} images, {len(names)} names, {len(people)} identities: give "
            "at least one image, and one name and identity each"
        )
        raise InputError(message)
    return names, people


def measure_packed(
    apply_fn: ApplyFn,
    params: Params,
    masks: PackedMasks,
    images: NDArray,
    names: Sequence[str],
    identities: Sequence[str | None],
    *,
    backbone: str,
    batch_size: int | None = None,
    memory_limit: int | None = None,
    precision: Precision = DEFAULT_PRECISION,
) -> "pd.DataFrame":
    """Measure packed masks or changes on preprocessed images in memory.

    Arguments, rows and errors as for :func:`measure_images`; all masks share one dense
    pass over each batch.
    """
    import pandas as pd

    problem = prepare(apply_fn, params, masks, precision=precision)
    executor = Executor(
        Planner(
            problem,
            images.shape[1:],
            len(images),
            dtype=images.dtype,
            batch_size=batch_size,
            memory_limit=memory_limit,
        )
    )
    size = executor.plan.batch_size
    tables = []
    for start in range(0, len(images), size):
        part = slice(start, start + size)
        measured = executor.finish(executor.start(images[part]))
        check_measured(names[part], masks, measured)
        columns = as_columns(
            backbone, names[part], identities[part], masks, measured.compared
        )
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def as_columns(
    backbone: str,
    names: Sequence[str],
    identities: Sequence[str | None],
    masks: PackedMasks,
    compared: Agreement,
) -> dict[str, Any]:
    """Lay measurements of shape (sparsities, images) out by image, then by sparsity."""
    count, levels = len(names), len(masks.sparsities)

    def by_image(values: Any) -> NDArray:
        return np.asarray(values).T.ravel()

    drift = by_image(compared.drift)
    return {
        "backbone": [backbone] * (count * levels),
        "mask": list(masks.names) * count,
        "image": [name for name in names for _ in range(levels)],
        "identity": [who for who in identities for _ in range(levels)],
        "sparsity": np.tile(masks.sparsities, count),
        "achieved_sparsity": np.tile(masks.achieved, count),
        "first_order": by_image(compared.first_order),
        "drift": drift,
        "cosine": by_image(compared.cosine),
        "residual": by_image(compared.residual),
        "quality": 1 - drift / 2,
    }


def check_measured(
    names: Sequence[str], masks: PackedMasks, measured: Measured
) -> None:
    """Refuse embeddings without a direction; InputError names image and sparsity."""
    check_norms(names, measured.dense_norm, " before pruning (sparsity 0)")
    several = len(set(masks.names)) > 1
    each = zip(masks.names, masks.sparsities, measured.pruned_norm, strict=True)
    for mask, sparsity, found in each:
        of = f" of {mask}" if several else ""
        check_norms(names, found, f" at sparsity {sparsity:g}{of}")
