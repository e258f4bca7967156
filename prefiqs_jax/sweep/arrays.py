"""Sweep images that are in memory: rows as a table, nothing on disk."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision
from prefiqs_jax.masks import Context, NamedMask, mask_named
from prefiqs_jax.masks.named import as_named
from prefiqs_jax.masks.packed import PackedMasks, join_masks, pack_deltas, pack_masks
from prefiqs_jax.sweep.rows import check_names, measure_packed
from prefiqs_jax.types import Delta, MaskFn, Params

if TYPE_CHECKING:
    import pandas as pd

AnyMask = NamedMask | MaskFn | str


def sweep_arrays(
    backbone: Backbone,
    images: ArrayLike,
    masks: AnyMask | Sequence[AnyMask] | Mapping[str, AnyMask] = (),
    sparsities: Sequence[float] = (),
    *,
    deltas: Mapping[str, Delta] | None = None,
    names: Sequence[str] | None = None,
    identities: Sequence[str | None] | None = None,
    calibration: ArrayLike | None = None,
    earlier: Params | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    memory_limit: int | None = None,
    precision: Precision = DEFAULT_PRECISION,
) -> "pd.DataFrame":
    """Measure first-order and real drift of images in memory, for any masks or changes.

    All masks share one dense pass over each batch: with M masks and S sparsities it is
    1 + 3 M S forward passes an image.

    Parameters
    ----------
    backbone
        From :func:`prefiqs_jax.load_backbone` or :func:`prefiqs_jax.from_function`.
    images
        Shape (count, height, width, channels). uint8 are RGB images, which the backbone
        preprocesses; floats are taken as the network expects them.
    masks
        Names as on the command line, or functions ``(params, sparsity) -> mask``; one,
        several, or a dict from the names of your choice.
    sparsities
        Each in [0, 1).
    deltas
        Other changes of the weights by name: each gives a row an image, whose sparsity
        is the fraction of weights that it makes zero.
    names, identities
        One for each image; by default its index, and unknown.
    calibration
        Images, like ``images``, for masks that need data; by default ``images``.
    earlier
        Weights of an earlier checkpoint, for movement.
    seed
        Key of random scores and probes, for masks given by name.
    batch_size, memory_limit, precision
        As in :class:`prefiqs_jax.sweep.SweepOptions`.

    Returns
    -------
    pandas.DataFrame
        Columns of :class:`prefiqs_jax.results.DriftRow`, as ``results.read`` has them.

    Warns
    -----
    UserWarning
        If a mask prunes all weights of a layer; names the layer.

    Raises
    ------
    InputError
        If there is neither mask nor delta, a sparsity, mask or delta cannot be used,
        names and images differ in number, or an embedding is zero or not finite.
    """
    import pandas as pd

    prepared = _prepared(backbone, images)
    names, people = check_names(len(prepared), names, identities)
    chosen = _named(masks, seed)
    if not chosen and not deltas:
        message = "nothing to measure: give masks and sparsities, or deltas"
        raise InputError(message)
    if not len(sparsities) and not all(mask.sparsities for mask in chosen):
        message = "no sparsities given; give some in [0, 1), such as [0.1, 0.4]"
        raise InputError(message)
    packed: list[PackedMasks] = []
    if chosen:
        data = prepared if calibration is None else _prepared(backbone, calibration)
        context = Context(backbone.apply_fn, data, seed, earlier=earlier)
        packed.append(
            join_masks(
                [
                    pack_masks(
                        (m.bind(context) if m.uses_network else m).mask_fn,
                        backbone.params,
                        m.sparsities or sparsities,
                        m.prunable,
                        name=m.name,
                    )
                    for m in chosen
                ]
            )
        )
    if deltas:
        packed.append(pack_deltas(deltas, backbone.params))
    for part in packed:
        for mask, sparsity, layer in part.emptied:
            message = f"{mask} at sparsity {sparsity:g} prunes all of {layer}"
            warnings.warn(message, stacklevel=2)
    tables = [
        measure_packed(
            backbone.apply_fn,
            backbone.params,
            part,
            prepared,
            names,
            people,
            backbone=backbone.name,
            batch_size=batch_size,
            memory_limit=memory_limit,
            precision=precision,
        )
        for part in packed
    ]
    return pd.concat(tables, ignore_index=True)


def _prepared(backbone: Backbone, images: ArrayLike) -> NDArray:
    array = np.asarray(images)
    if array.dtype == np.uint8:
        return backbone.preprocess(array)
    if array.dtype.kind != "f":
        message = (
            f"images are {array.dtype}; give uint8 RGB images, or floats as the "
            "network expects them"
        )
        raise InputError(message)
    return array


def _named(
    masks: AnyMask | Sequence[AnyMask] | Mapping[str, AnyMask], seed: int
) -> list[NamedMask]:
    def one(mask: AnyMask) -> NamedMask:
        return mask_named(mask, seed=seed) if isinstance(mask, str) else as_named(mask)

    if isinstance(masks, Mapping):
        found = [
            dataclasses.replace(one(mask), name=name) for name, mask in masks.items()
        ]
    elif isinstance(masks, list | tuple):
        found = [one(mask) for mask in masks]
    else:
        found = [one(masks)]
    known = [mask.name for mask in found]
    for name in known:
        if known.count(name) > 1:
            message = f"mask {name} is given twice; give a dict from names to masks"
            raise InputError(message)
    return found
