"""From arrays to rows: measure images that are in memory, lay numbers out as rows."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import (
    DEFAULT_PRECISION,
    Precision,
    at_double,
    image_type,
)
from prefiqs_jax.masks import AnyMask, Context, NamedMask
from prefiqs_jax.masks.named import as_named
from prefiqs_jax.masks.packed import PackedMasks, pack_deltas
from prefiqs_jax.sensitivity import check_norms
from prefiqs_jax.sweep.calibration import calibration_places
from prefiqs_jax.sweep.engine import Measured, prepare
from prefiqs_jax.sweep.executor import Executor
from prefiqs_jax.sweep.extras import check_extras, lay_out, plan_extras
from prefiqs_jax.sweep.packing import check_masks, pack_all
from prefiqs_jax.sweep.planner import Planner
from prefiqs_jax.types import ApplyFn, Delta, Params

if TYPE_CHECKING:
    import pandas as pd


def measure_images(
    apply_fn: ApplyFn,
    params: Params,
    mask: AnyMask | None,
    sparsities: Sequence[float],
    images: NDArray,
    *,
    deltas: Mapping[str, Delta] | None = None,
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
        As :func:`prefiqs_jax.sweep.sweep` takes it. One that needs data is calibrated
        on these images. None with ``deltas`` alone.
    sparsities
        Each in [0, 1), each once; empty without a mask.
    images
        As the network expects them, shape (count, height, width, channels).
    deltas
        Other changes δ of the weights, by name: each gives a row an image, after those
        of the mask, whose sparsity is the fraction of weights that it makes zero.
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
        If a sparsity, mask or delta cannot be used, names and images differ in number,
        or an embedding is zero or not finite.
    """
    images = np.asarray(images)
    masks = [] if mask is None else [as_named(mask)]
    if masks and masks[0].uses_network and not masks[0].is_bound:
        chosen = images[calibration_places(len(images))]
        masks = [masks[0].bind(Context(apply_fn, chosen))]
    return measure_all(
        apply_fn,
        params,
        pack_changes_of(params, masks, sparsities, deltas),
        images,
        *check_names(len(images), names, identities),
        backbone=backbone,
        batch_size=batch_size,
        memory_limit=memory_limit,
        precision=precision,
    )


def pack_changes_of(
    params: Params,
    masks: Sequence[NamedMask],
    sparsities: Sequence[float],
    deltas: Mapping[str, Delta] | None,
) -> list[PackedMasks]:
    """Pack masks, and changes that are none, beside each other.

    InputError if there is neither, or one cannot be used.
    """
    if not masks and not deltas:
        message = "nothing to measure: give masks and sparsities, or deltas"
        raise InputError(message)
    packed = []
    if masks:
        check_masks(masks, sparsities)
        packed.append(pack_all(masks, params, sparsities))
    elif len(sparsities):
        message = "sparsities are of masks, and there is none; give a mask, or none"
        raise InputError(message)
    if deltas:
        taken = {mask.name for mask in masks} & set(deltas)
        if taken:
            message = f"{taken.pop()} is the name of a mask and of a delta; rename one"
            raise InputError(message)
        packed.append(pack_deltas(deltas, params))
    return packed


def measure_all(
    apply_fn: ApplyFn,
    params: Params,
    packed: Sequence[PackedMasks],
    images: NDArray,
    names: Sequence[str],
    identities: Sequence[str | None],
    **how: Any,
) -> "pd.DataFrame":
    """Measure several packs, one after the other, as :func:`measure_packed`."""
    import pandas as pd

    tables = [
        measure_packed(apply_fn, params, part, images, names, identities, **how)
        for part in packed
    ]
    return pd.concat(tables, ignore_index=True)


def check_names(
    count: int,
    names: Sequence[str] | None,
    identities: Sequence[str | None] | None,
) -> tuple[list[str], list[str | None]]:
    """Give images names, by default their index; InputError where numbers differ."""
    names = [str(i) for i in range(count)] if names is None else list(names)
    people: list[str | None] = [None] * count
    if identities is not None:
        people = list(identities)
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
    extras: Collection[str] = (),
) -> "pd.DataFrame":
    """Measure packed masks or changes on preprocessed images in memory.

    Arguments, rows and errors as for :func:`measure_images`; all masks share one dense
    pass over each batch. Columns of tables hold a dict from label to number in each
    row.
    """
    import pandas as pd

    images = np.asarray(images)
    if precision == "double":
        images = images.astype(image_type(precision))
    tables = []
    with at_double(precision):
        wanted = plan_extras(
            extras, backbone, apply_fn, params, masks, images.shape[1:]
        )
        problem = prepare(apply_fn, params, masks, precision=precision, extras=wanted)
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
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            measured = executor.finish(executor.start(images[part]))
            check_measured(names[part], masks, measured)
            own = as_columns(backbone, names[part], identities[part], masks, measured)
            for name in wanted.lists:
                labels = wanted.labels[name.partition(".")[0]]
                rows = own[name].to_pylist()
                own[name] = [dict(zip(labels, row, strict=True)) for row in rows]
            tables.append(pd.DataFrame(own))
    return pd.concat(tables, ignore_index=True)


def as_columns(
    backbone: str,
    names: Sequence[str],
    identities: Sequence[str | None],
    masks: PackedMasks,
    measured: Measured,
) -> dict[str, Any]:
    """Lay measurements of shape (sparsities, images) out by image, then by sparsity."""
    count, levels = len(names), len(masks.sparsities)

    def by_image(values: Any) -> NDArray:
        return np.asarray(values).T.ravel()

    compared = measured.compared
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
        **lay_out(measured.extras),
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
    check_extras(names, masks, measured.extras)
