"""What a sweep measures of each pruning direction on request, in a pass of its own.

What control directions do; how the remainder of the first order grows along the
direction; the path of the embedding; what is expected of random directions, and of all
weights; and how the first order changes with the pixels.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from prefiqs_jax.execution.compilation import stored
from prefiqs_jax.results import TABLES
from prefiqs_jax.results.schema import NODES, PROBES, SCALES
from prefiqs_jax.sensitivity import (
    CONTROLS,
    Linearised,
    control_directions,
    embed,
    linearise,
    norms,
    responses_along,
    unit,
)
from prefiqs_jax.sensitivity.expected import expected_given
from prefiqs_jax.sensitivity.finite import weights_at
from prefiqs_jax.sensitivity.metric import all_weights
from prefiqs_jax.sensitivity.path import tangent_at
from prefiqs_jax.sensitivity.pixels import pixel_gradient_given
from prefiqs_jax.statistics import TOLERANCE
from prefiqs_jax.sweep.network import Network
from prefiqs_jax.types import Delta

REPLICATES = 3
"""Directions of each control but growth, which is always the same."""
SEED = 0
"""Of random directions: the same for all images."""
WORDS = frozenset(("controls", "validity", "path", "expected", "metric", "pixels"))
"""What is measured here, of :data:`prefiqs_jax.results.EXTRAS`."""


class Change(NamedTuple):
    """What is known of a direction; arrays of shape (batch, dim)."""

    jvp: Array
    """Jδ."""
    displacement: Array
    """z(θ + δ) - z(θ)."""


def direction_pass(
    words: Collection[str], network: Network
) -> Callable[[Delta, Change, Array], dict[str, Array]]:
    """Run the dense pass that directions share, and what no direction is in.

    Returns
    -------
    callable
        ``(delta, its change, index of the sparsity) -> columns``, each of shape
        (batch,); of the table of controls (labels, batch).
    """
    lin = linearise(network.embed_raw, network.weights, network.images)
    key = jax.random.key(SEED)
    fixed: dict[str, Array] = {}
    if "metric" in words:
        trace = expected_given(
            lin.push,
            network.weights,
            all_weights(network.weights, lambda *_: True),
            PROBES,
            key,
        )
        fixed = {
            "metric_trace": trace.value,
            "metric_trace_error": trace.standard_error,
        }
    makers = {
        "validity": _validity,
        "path": _path,
        "expected": _expected,
        "pixels": _pixels,
        "controls": _controls,
    }

    def measure(delta: Delta, change: Change, index: Array) -> dict[str, Array]:
        columns = dict(fixed)
        for word, maker in makers.items():
            if word in words:
                own = jax.random.fold_in(key, index)
                columns |= maker(network, lin, delta, change, own)
        return columns

    return measure


def _controls(
    network: Network, lin: Linearised, delta: Delta, change: Change, key: Array
) -> dict[str, Array]:
    responses = responses_along(
        network.embed_raw,
        lin,
        network.weights,
        delta,
        network.images,
        CONTROLS,
        REPLICATES,
        key,
        change.jvp,
    )
    columns = {}
    for number in TABLES["controls"][1]:
        each = [getattr(responses[kind], number) for kind in CONTROLS]
        columns[f"controls.{number}"] = jnp.concatenate(each)
    return columns


def _validity(
    network: Network, lin: Linearised, delta: Delta, change: Change, _: Array
) -> dict[str, Array]:
    """Hold the first order against the change at several t: a forward pass for each.

    Interpolated as :func:`prefiqs_jax.sensitivity.largest_valid` does.
    """
    jvp, scales = change.jvp, jnp.asarray(SCALES, change.jvp.dtype)

    def displaced(t: Array) -> Array:
        weights = stored(lambda: weights_at(network.weights, delta, t), t)
        return embed(network.embed_raw, weights, network.images) - lin.embedding

    before = jax.lax.map(displaced, scales[:-1])  # the last is the pruned network
    along = jnp.concatenate([before, change.displacement[None]])
    left = norms(along - scales[:, None, None] * jvp[None])
    error = left / norms(along)
    within = jnp.cumprod((error <= TOLERANCE).astype(jnp.int32), axis=0).sum(0)
    last, after = (jnp.clip(within + step, 0, len(SCALES) - 1) for step in (-1, 0))
    below, above = (
        jnp.take_along_axis(error, place[None], axis=0)[0] for place in (last, after)
    )
    share = jnp.log(TOLERANCE / below) / jnp.log(above / below)
    share = jnp.where((below > 0) & jnp.isfinite(above) & (after > last), share, 0)
    valid = scales[last] * (scales[after] / scales[last]) ** share
    return {
        "slope": jnp.log2(left[-1] / left[-2]),
        "valid_t": jnp.where(within > 0, valid, 0),
    }


def _path(
    network: Network, lin: Linearised, delta: Delta, change: Change, _: Array
) -> dict[str, Array]:
    """Integrate ‖J(θ + tδ) δ‖ by Gauss-Legendre: three forward passes a node."""
    del lin
    places, weights = np.polynomial.legendre.leggauss(NODES)

    def at(t: Array) -> Array:
        return tangent_at(network.embed_raw, network.weights, delta, network.images, t)

    dtype = change.jvp.dtype
    along = jax.lax.map(at, jnp.asarray((places + 1) / 2, dtype))
    shares = jnp.asarray(weights / 2, dtype)
    integral = jnp.tensordot(shares, along, 1)
    return {
        "path_length": shares @ norms(along),
        "path_error": norms(integral - change.displacement),
    }


def _expected(
    network: Network, lin: Linearised, delta: Delta, change: Change, key: Array
) -> dict[str, Array]:
    """Average the squared first order over directions with the norms of δ by layer."""
    del change
    found = expected_given(
        lin.push,
        network.weights,
        control_directions("gaussian", network.weights, delta),
        PROBES,
        key,
    )
    root = jnp.sqrt(found.value)
    error = found.standard_error / (2 * jnp.where(root > 0, root, 1))
    return {"expected_drift": root, "expected_drift_error": error}


def _pixels(
    network: Network, lin: Linearised, delta: Delta, change: Change, _: Array
) -> dict[str, Array]:
    del lin
    reverse_fn = network.reverse_fn
    gradient = pixel_gradient_given(
        (lambda some, images: reverse_fn(network.build(some), images))
        if reverse_fn
        else network.embed_raw,
        network.weights,
        delta,
        network.images,
        unit(change.jvp),
    )
    return {"pixel_gradient": norms(gradient.reshape(len(gradient), -1))}
