"""What a sweep measures on request, beside first order and drift, in the same program.

Of each image and sparsity: the Taylor series beyond its first order, activations that
change sign, contributions of the layers, and of the direction what
:mod:`prefiqs_jax.sweep.directions` measures.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.masks.packed import PackedMasks
from prefiqs_jax.results import COLUMNS, EXTRAS, TABLES
from prefiqs_jax.results.schema import columns_of
from prefiqs_jax.sensitivity import (
    CONTROLS,
    LinearisedKinks,
    LinearisedLayers,
    expand,
    leaves_by_depth,
    linearise,
    linearise_kinks,
    linearise_layers,
    near_kinks,
    norms,
    open_kinks,
    partial_sums,
    predicted_error,
    unit,
)
from prefiqs_jax.sensitivity.layers_pass import unit_or_zero
from prefiqs_jax.sweep.directions import REPLICATES, WORDS
from prefiqs_jax.sweep.network import Network
from prefiqs_jax.trees import named_leaves
from prefiqs_jax.types import ApplyFn, Delta, Params


@dataclasses.dataclass(frozen=True)
class Extras:
    """What is measured on request.

    Attributes
    ----------
    names
        Of :data:`prefiqs_jax.results.EXTRAS`, in that order.
    labels
        Lines of each table: names of layers by depth, of activations, of controls.
    layer_places
        Which of the pruned leaves each of the layers is.
    reverse_fn
        The network in a form that is faster to differentiate in reverse, if it has one.
    """

    names: tuple[str, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    layer_places: tuple[int, ...] = ()
    reverse_fn: ApplyFn | None = None

    @property
    def order(self) -> int:
        """Of the Taylor series."""
        return 3 if "taylor3" in self.names else 2 if "taylor2" in self.names else 1

    @property
    def by_slice(self) -> bool:
        """Whether a batch must be cut into slices outside of all that is measured."""
        return bool({"taylor2", "kinks", "layers"} & set(self.names))

    @property
    def of_directions(self) -> frozenset[str]:
        """What is measured of directions, in a pass of its own."""
        return WORDS & set(self.names)

    @property
    def columns(self) -> list[str]:
        """Columns of the rows that they add."""
        return list(columns_of(self.names)[len(COLUMNS) :])

    @property
    def lists(self) -> list[str]:
        """Columns of tables: as many numbers a row as there are labels."""
        return [
            f"{table}.{number}"
            for table, (_, numbers) in TABLES.items()
            if table in self.names
            for number in numbers
        ]

    def settings(self) -> dict[str, Any]:
        """Give what decides the numbers, for run.json; nothing without extras."""
        return {"with": list(self.names)} if self.names else {}


NONE = Extras()


def plan_extras(
    words: Collection[str],
    name: str,
    apply_fn: ApplyFn,
    params: Params,
    masks: PackedMasks,
    image_shape: Sequence[int],
    reverse_fn: ApplyFn | None = None,
) -> Extras:
    """Find out what words on the command line ask of this network.

    Parameters
    ----------
    words
        Of :data:`prefiqs_jax.results.EXTRAS`; ``taylor3`` holds ``taylor2``.
    name, apply_fn, params, masks
        Network, and its packed masks.
    image_shape
        (height, width, channels).
    reverse_fn
        As in :class:`Extras`.

    Raises
    ------
    InputError
        If a word is unknown, or the network has no kinks to count, or such that cannot
        be told apart.
    """
    for word in words:
        check_choice("measurement", word, EXTRAS)
    wanted = set(words) | ({"taylor2"} if "taylor3" in words else set())
    names = tuple(extra for extra in EXTRAS if extra in wanted)
    labels: dict[str, tuple[str, ...]] = {}
    places: tuple[int, ...] = ()
    dtype = jnp.result_type(*jax.tree.leaves(params))
    images = np.zeros((2, *image_shape), dtype)
    if "kinks" in names:
        found = open_kinks(apply_fn, params, images).names
        if not found:
            message = (
                f"{name} has no kinks: all its activations are smooth; leave kinks out"
            )
            raise InputError(message)
        labels["kinks"] = found
    if "layers" in names:
        leaves = zip(named_leaves(params), masks.planes, strict=True)
        pruned = [leaf for (leaf, _), plane in leaves if plane is not None]
        order = leaves_by_depth(apply_fn, params, images)
        place = {leaf: index for index, leaf in enumerate(order)}
        by_depth = sorted(pruned, key=lambda leaf: place.get(leaf, len(place)))
        labels["layers"] = tuple(by_depth)
        places = tuple(map(pruned.index, by_depth))
    if "controls" in names:
        labels["controls"] = tuple(
            f"{kind}/{replicate}"
            for kind in CONTROLS
            for replicate in range(1 if kind == "growth" else REPLICATES)
        )
    return Extras(names, labels, places, reverse_fn)


class Tangents(NamedTuple):
    """What is known of a direction without pruning."""

    jvp: Array
    """Shape (batch, dim)."""
    predicted: dict[str, Array]
    """Predicted flips, by activation; empty unless asked for."""
    coefficients: Array | None = None
    """Of the Taylor series, shape (order, batch, dim)."""
    contributions: Array | None = None
    """Of the layers by depth, shape (layers, batch)."""


class Pruned(NamedTuple):
    """What a pruned network gives; arrays of shape (batch,) unless stated."""

    displacement: Array
    """z(θ + δ) - z(θ), shape (batch, dim)."""
    norm: Array
    """‖f(x; θ + δ)‖."""
    columns: dict[str, Array]
    """Measured on request; of tables, of shape (labels, batch)."""


class Dense(NamedTuple):
    """The dense pass that everything of a batch but control directions shares."""

    norm: Array
    """‖f(x; θ)‖, shape (batch,)."""
    tangents: Callable[[Delta], Tangents]
    prune: Callable[[Delta, Tangents], Pruned]


def dense_pass(extras: Extras, network: Network) -> Dense:
    """Run it, with what the extras need besides."""
    weights, images, order = network.weights, network.images, extras.order
    layers = _layers_along(extras, network)
    if "kinks" in extras.names:
        opened = open_kinks(network.apply_fn, network.build(weights), images)
        kinks = linearise_kinks(opened.of(network.build), weights, images, order)
        return _dense_with_kinks(extras, network, kinks, layers)
    if order > 1:
        dense: Any = expand(network.embed_raw, weights, images, order)
    elif layers is not None and network.reverse_fn is None:
        dense = layers  # which know the first order, too
    else:
        dense = linearise(network.embed_raw, weights, images)

    def tangents(delta: Delta) -> Tangents:
        if layers is not None and dense is layers:
            jvp, found = layers.push(delta)
            return Tangents(jvp, {}, None, _by_depth(extras, network, found))
        along = dense.push(delta)
        jvp, series = (along[0], along) if order > 1 else (along, None)
        split = _split(extras, network, layers, delta, jvp)
        return Tangents(jvp, {}, series, split)

    def prune(delta: Delta, known: Tangents) -> Pruned:
        raw = network.embed_raw(jax.tree.map(jnp.add, weights, delta), images)
        displacement = unit(raw) - dense.embedding
        columns = _columns(extras, known, displacement)
        return Pruned(displacement, norms(raw), columns)

    return Dense(dense.norm, tangents, prune)


def _dense_with_kinks(
    extras: Extras,
    network: Network,
    kinks: LinearisedKinks,
    layers: LinearisedLayers | None,
) -> Dense:
    near = near_kinks(lambda *_: kinks.inputs, network.weights, network.images)

    def tangents(delta: Delta) -> Tangents:
        along, predicted = kinks.expand(delta)
        series = along if len(along) > 1 else None
        split = _split(extras, network, layers, delta, along[0])
        return Tangents(along[0], predicted, series, split)

    def prune(delta: Delta, known: Tangents) -> Pruned:
        embedding, norm, flips = kinks.prune(delta)
        fixed, labels = kinks.frozen(delta), extras.labels["kinks"]
        displacement = embedding - kinks.dense.embedding
        columns = _columns(extras, known, displacement) | {
            "flips": _total(flips),
            "predicted_flips": _total(known.predicted),
            "near_kinks": _total(near),
            "smooth_residual": norms(fixed - kinks.dense.embedding - known.jvp),
            "kink_residual": norms(embedding - fixed),
            "kinks.flips": _stacked(flips, labels),
            "kinks.predicted_flips": _stacked(known.predicted, labels),
        }
        return Pruned(displacement, norm, columns)

    return Dense(kinks.dense.norm, tangents, prune)


def _columns(extras: Extras, known: Tangents, displacement: Array) -> dict[str, Array]:
    """Compute what is asked of the Taylor series and of the layers."""
    columns: dict[str, Array] = {}
    if known.coefficients is not None:
        columns["predicted_error"] = predicted_error(known.coefficients)
        sums = partial_sums(known.coefficients, displacement)
        for place, name in enumerate(("second", "third")[: extras.order - 1], 1):
            columns[f"{name}_order"] = sums.norm[place]
            columns[f"{name}_order_residual"] = sums.residual[place]
    if known.contributions is not None:
        columns["layers.contribution"] = known.contributions
    return columns


def _layers_along(extras: Extras, network: Network) -> LinearisedLayers | None:
    """Run the dense pass that the layers' contributions need, if they are asked for."""
    if "layers" not in extras.names:
        return None
    reverse_fn, apply_fn = network.reverse_fn, network.embed_raw
    if reverse_fn is not None:
        apply_fn = lambda some, images: reverse_fn(network.build(some), images)  # noqa: E731
    return linearise_layers(apply_fn, network.weights, network.images)


def _split(
    extras: Extras,
    network: Network,
    layers: LinearisedLayers | None,
    delta: Delta,
    jvp: Array,
) -> Array | None:
    """Split the first order into the layers' contributions, if they are asked for."""
    if layers is None:
        return None
    return _by_depth(extras, network, layers.along(delta, unit_or_zero(jvp)))


def _by_depth(extras: Extras, network: Network, found: Mapping[str, Array]) -> Array:
    # jax.vmap sorts a dict by name, "10" before "2".
    names = [name for name, _ in named_leaves(network.weights)]
    return jnp.stack([found[names[place]] for place in extras.layer_places])


def _total(counts: Mapping[str, Array]) -> Array:
    return jnp.sum(jnp.stack(list(counts.values())), axis=0)


def _stacked(counts: Mapping[str, Array], names: Sequence[str]) -> Array:
    return jnp.stack([counts[name] for name in names])


_MAY_BE_NAN = ("predicted_error", "controls.cosine", "slope", "pixel_gradient")


def check_extras(
    names: Sequence[str], masks: PackedMasks, columns: Mapping[str, NDArray]
) -> None:
    """Refuse a number that is none; InputError names image, sparsity and quantity.

    Where nothing moves, ratios to that have no value, and are let be.
    """
    for column, values in columns.items():
        bad = np.isnan(values)
        if column in _MAY_BE_NAN:
            continue
        if bad.any():
            place = np.argwhere(bad)[0]
            message = (
                f"{column} of {names[place[-1]]} at sparsity "
                f"{masks.sparsities[place[0]]:g} is not a number; leave the image out, "
                "or the measurement"
            )
            raise InputError(message)


def lay_out(columns: Mapping[str, NDArray]) -> dict[str, Any]:
    """Lay numbers out by image, then by sparsity: tables as lists, one for each row.

    Arguments have the shape (sparsities, images), those of tables (sparsities, labels,
    images).
    """
    import pyarrow as pa

    found: dict[str, Any] = {}
    for name, values in columns.items():
        if values.ndim == 2:
            found[name] = values.T.ravel()
        else:
            flat = pa.array(np.moveaxis(values, -1, 0).ravel())
            found[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return found
