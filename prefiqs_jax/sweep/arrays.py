"""Sweep images that are in memory: rows as a table, nothing on disk."""

import dataclasses
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision
from prefiqs_jax.masks import AnyMask, Context, NamedMask
from prefiqs_jax.masks.named import as_named
from prefiqs_jax.sweep.calibration import calibration_places
from prefiqs_jax.sweep.rows import check_names, measure_all, pack_changes_of
from prefiqs_jax.types import Delta, Params

if TYPE_CHECKING:
    import pandas as pd


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
    extras: Collection[str] = (),
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
        Each in [0, 1), each once.
    deltas
        Other changes of the weights by name: each gives a row an image, whose sparsity
        is the fraction of weights that it makes zero.
    names, identities
        One for each image; by default its index, and unknown.
    calibration
        Images, like ``images``, for masks that need data; by default ``images``. Of
        more than 256, 256 are taken, evenly spread.
    earlier
        Weights of an earlier checkpoint, for movement.
    seed
        Key of random scores and probes, for masks given by name.
    batch_size, memory_limit, precision
        As in :class:`prefiqs_jax.sweep.SweepOptions`.
    extras
        What to measure besides, of :data:`prefiqs_jax.results.EXTRAS`.

    Returns
    -------
    pandas.DataFrame
        Columns of :class:`prefiqs_jax.results.DriftRow`, as ``results.read`` has them,
        and those of the extras: numbers of each layer, activation or control are a dict
        in each row, in columns such as ``layers.contribution``.

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
    prepared = _prepared(backbone, images)
    names, people = check_names(len(prepared), names, identities)
    chosen = _named(masks, seed)
    if any(mask.uses_network for mask in chosen):
        data = prepared if calibration is None else _prepared(backbone, calibration)
        data = data[calibration_places(len(data))]
        context = Context(backbone.apply_fn, data, seed, earlier=earlier)
        chosen = [
            m.bind(context) if m.uses_network and not m.is_bound else m for m in chosen
        ]
    packed = pack_changes_of(backbone.params, chosen, sparsities, deltas)
    for part in packed:
        for mask, sparsity, layer in part.emptied:
            message = f"{mask} at sparsity {sparsity:g} prunes all of {layer}"
            warnings.warn(message, stacklevel=2)
    return measure_all(
        backbone.apply_fn,
        backbone.params,
        packed,
        prepared,
        names,
        people,
        backbone=backbone.name,
        batch_size=batch_size,
        memory_limit=memory_limit,
        precision=precision,
        extras=extras,
    )


def _prepared(backbone: Backbone, images: ArrayLike) -> NDArray:
    array = np.asarray(images)
    if array.dtype == np.uint8:
        return backbone.preprocess(array)
    pixels = backbone.preprocessing
    shape = (pixels.height, pixels.width, 3)
    if array.dtype.kind != "f" or array.ndim != 4 or array.shape[1:] != shape:
        message = (
            f"images are {array.dtype} of shape {array.shape}; give uint8 RGB images, "
            f"or floats as the network expects them, of shape (count, {pixels.height}, "
            f"{pixels.width}, 3)"
        )
        raise InputError(message)
    return array


def _named(
    masks: AnyMask | Sequence[AnyMask] | Mapping[str, AnyMask], seed: int
) -> list[NamedMask]:
    if isinstance(masks, Mapping):
        found = [
            dataclasses.replace(as_named(mask, seed), name=name)
            for name, mask in masks.items()
        ]
    elif isinstance(masks, Sequence) and not isinstance(masks, str):
        found = [as_named(mask, seed) for mask in masks]
    else:
        found = [as_named(masks, seed)]
    return found
