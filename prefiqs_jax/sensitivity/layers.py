"""What each layer adds to the drift: all layers by one forward and one reverse pass.

A leaf of the parameters meets what comes of an image in a few operations, such as its
convolution y = x ∗ w. To first order δ_l changes their results by d = x ∗ δ_l, and
nothing else directly. With ȳ, what a unit change of y does to the embedding along a
direction u, its share of ⟨u, Jδ⟩ is ⟨ȳ, d⟩, summed over those operations. One reverse
pass gives ȳ of all layers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import stored
from prefiqs_jax.sensitivity.direct import Traced
from prefiqs_jax.sensitivity.embedding import drift_of
from prefiqs_jax.sensitivity.finite import displacement, weights_at
from prefiqs_jax.sensitivity.first_order import embedding_jvp
from prefiqs_jax.sensitivity.layers_pass import (
    Contributions,
    LinearisedLayers,
    share_pass,
    unit_or_zero,
)
from prefiqs_jax.trees import map_named, named_leaves
from prefiqs_jax.types import ApplyFn, Delta, Images, Params, Prunable


class PathContributions(NamedTuple):
    """What each layer adds to the real drift, along the path from θ to θ + δ."""

    contributions: Contributions
    """Leaf name to contribution, shape (batch,)."""
    drift: Array
    """‖z(θ + δ) - z(θ)‖, shape (batch,)."""
    error: Array
    """Sum of the contributions minus the drift, shape (batch,)."""


def layer_contributions(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    *,
    by_filter: bool = False,
    prunable: Prunable | None = None,
    reverse_fn: ApplyFn | None = None,
) -> Contributions:
    """Split the first-order drift ‖Jδ‖ of each image into the layers' contributions.

    Computes ⟨u, J δ_l⟩ with u = Jδ / ‖Jδ‖ for every leaf l of the parameters, where
    δ_l is δ on that leaf and zero elsewhere. Exact: they sum to ‖Jδ‖. A contribution is
    negative where a layer pulls back what the others do. Takes about four forward
    passes for all layers together.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim). Any JAX function
        that treats each image alone.
    params
        Dense weights θ.
    delta
        Direction δ; same structure, shapes and dtypes as ``params``.
    images
        Preprocessed images, shape (batch, height, width, channels).
    by_filter
        Whether to split each layer further by its output channels.
    prunable
        ``(leaf name, weights) -> bool``: which leaves ``delta`` may change; None = all.
        The others are taken as unchanged, are not in the result, and cost nothing:
        under ``jax.jit`` no zero of ``delta`` can be seen.
    reverse_fn
        The same network as ``apply_fn`` in a form that is quick in reverse mode, if
        there is one: ``backbone.taps.reverse_fn()``. Networks of depthwise
        convolutions take half as long with it on a CPU.

    Returns
    -------
    dict
        Leaf name to contribution, shape (batch,), no unit; exactly 0 where δ_l is. With
        ``by_filter`` the shape is (batch, outputs): one entry for each output channel
        of the operation that the leaf goes into. Where Jδ = 0, which has no direction,
        all are 0.

    Raises
    ------
    InputError
        If delta and params differ in structure, or a leaf in shape or dtype; with
        ``by_filter``, if a leaf goes into an operation without output channels of its
        own, such as a loop.

    References
    ----------
    Derivation: docs/theory.md.

    Examples
    --------
    >>> def two_layers(p, x):
    ...     return x @ p["a"] @ p["b"]
    >>> theta = {"a": jnp.eye(2), "b": jnp.eye(2)}
    >>> turn = jnp.array([[0.0, 1.0], [0.0, 0.0]])
    >>> delta = {"a": turn, "b": -3 * turn}
    >>> layer_contributions(two_layers, theta, delta, jnp.array([[2.0, 0.0]]))
    {'a': Array([-1.], dtype=...), 'b': Array([3.], dtype=...)}
    """
    if reverse_fn is None:
        return _contributions(
            apply_fn, params, delta, images, None, by_filter, prunable
        )
    moving = delta
    if prunable is not None:
        moving = map_named(
            lambda name, w, d: d if prunable(name, w) else jnp.zeros_like(d),
            params,
            delta,
        )
    _, jvp = embedding_jvp(apply_fn, params, moving, images)
    return _contributions(
        reverse_fn, params, delta, images, unit_or_zero(jvp), by_filter, prunable
    )


def contributions_given(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    direction: Float[Array, "batch dim"],
    *,
    by_filter: bool = False,
    prunable: Prunable | None = None,
    reverse_fn: ApplyFn | None = None,
) -> Contributions:
    """Compute the layers' contributions ⟨u, J δ_l⟩ along a direction that is known.

    As :func:`layer_contributions`, for any ``direction`` u, shape (batch, dim): they
    sum to ⟨u, Jδ⟩. Takes a forward pass, one for the products with δ and a reverse one.
    """
    return _contributions(
        reverse_fn or apply_fn, params, delta, images, direction, by_filter, prunable
    )


def linearise_layers(
    apply_fn: ApplyFn,
    params: Params,
    images: Images,
    *,
    by_filter: bool = False,
    prunable: Prunable | None = None,
) -> LinearisedLayers:
    """Run the dense pass that first order and contributions of all directions share.

    Arguments and errors as of :func:`layer_contributions`; ``apply_fn`` is the form of
    the network that reverse passes take. The intermediate results of the whole network
    stay in memory as long as the functions of the result are used.

    Examples
    --------
    >>> theta, delta = {"a": jnp.eye(2)}, {"a": jnp.ones((2, 2))}
    >>> lin = linearise_layers(lambda p, x: x @ p["a"], theta, jnp.array([[2.0, 0.0]]))
    >>> lin.push(delta)
    (Array([[0., 1.]], dtype=...), {'a': Array([1.], dtype=...)})
    >>> lin.along(delta, jnp.array([[0.0, -1.0]]))
    {'a': Array([-1.], dtype=...)}
    """
    names = _changing(params, prunable)
    return share_pass(apply_fn, params, images, names, names, by_filter)


def _changing(params: Params, prunable: Prunable | None) -> dict[str, None]:
    return {
        name: None
        for name, weights in named_leaves(params)
        if prunable is None or prunable(name, weights)
    }


def _contributions(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    direction: Array | None,
    by_filter: bool,
    prunable: Prunable | None,
) -> Contributions:
    names = _changing(params, prunable)
    # Without jax.jit it can be seen which leaves stay.
    moving = {
        name: None
        for name, change in named_leaves(delta)
        if name in names
        and (by_filter or isinstance(change, Tracer) or np.asarray(change).any())
    }
    found = share_pass(apply_fn, params, images, names, moving, by_filter)
    return found.push(delta)[1] if direction is None else found.along(delta, direction)


def path_layer_contributions(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    nodes: int = 8,
    *,
    panels: int = 1,
    prunable: Prunable | None = None,
    reverse_fn: ApplyFn | None = None,
) -> PathContributions:
    """Split the real drift ‖z(θ + δ) - z(θ)‖ of each image into contributions.

    Computes ∫₀¹ ⟨û, J(θ + tδ) δ_l⟩ dt with û = Δ / ‖Δ‖, Δ the real displacement, for
    every leaf l by Gauss-Legendre quadrature. They sum to ‖Δ‖ up to the quadrature's
    error, which is returned. It falls exponentially with ``nodes`` in smooth networks;
    with kinks on the way, as of PReLU, only as the nodes' distance: more panels help as
    much as more nodes. Takes about three forward passes a node, and two.

    Parameters
    ----------
    apply_fn, params, delta, images, prunable, reverse_fn
        As in :func:`layer_contributions`; θ + δ is the pruned network.
    nodes
        Nodes of each panel, at least 1.
    panels
        Equal parts of [0, 1], at least 1.

    Returns
    -------
    PathContributions
        Contributions, drift, and what the sum of the first misses of the second.

    Raises
    ------
    InputError
        As :func:`layer_contributions`, and if nodes or panels are below 1.

    References
    ----------
    Sundararajan, Taly and Yan (2017). Axiomatic Attribution for Deep Networks. ICML:
    the integral along the path, there of gradients by the input. Derivation:
    docs/theory.md.

    Examples
    --------
    >>> theta, delta = jnp.eye(2), jnp.array([[-1.0, 1.0], [0.0, 0.0]])
    >>> def linear(p, x):
    ...     return x @ p["w"]
    >>> x = jnp.array([[2.0, 0.0]])
    >>> path = path_layer_contributions(linear, {"w": theta}, {"w": delta}, x)
    >>> path.drift, abs(float(path.error[0])) < 1e-4
    (Array([1.414213...], dtype=...), True)
    """
    for what, count in (("nodes", nodes), ("panels", panels)):
        if count < 1:
            message = f"{what} is {count}, but must be at least 1"
            raise InputError(message)
    moved = displacement(apply_fn, params, delta, images)
    along = unit_or_zero(moved)
    places, weights = np.polynomial.legendre.leggauss(nodes)
    starts = np.arange(panels)[:, None]
    places = (((places + 1) / 2 + starts) / panels).ravel()
    weights = np.tile(weights / (2 * panels), panels)

    def at(place: Array) -> Contributions:
        on_the_way = stored(lambda: weights_at(params, delta, place), place)
        return _contributions(
            reverse_fn or apply_fn, on_the_way, delta, images, along, False, prunable
        )

    # One node after the other: batched parameters are slow, and memory would not do.
    found = jax.lax.map(at, jnp.asarray(places, moved.dtype))
    summed = {
        name: jnp.asarray(weights, each.dtype) @ each for name, each in found.items()
    }
    drift = drift_of(moved)
    return PathContributions(summed, drift, sum(summed.values(), -drift))


def leaves_by_depth(apply_fn: ApplyFn, params: Params, images: Images) -> list[str]:
    """List the leaves of the parameters in the order in which the network uses them.

    Nothing is computed; arguments as of :func:`layer_contributions`. What never meets
    an image comes last.

    >>> def two_layers(p, x):
    ...     return x @ p["b"] @ p["a"]
    >>> theta = {"a": jnp.eye(2), "b": jnp.eye(2)}
    >>> leaves_by_depth(two_layers, theta, jnp.ones((1, 2)))
    ['b', 'a']
    """
    names = [name for name, _ in named_leaves(params)]
    points = jax.eval_shape(
        lambda image: Traced(apply_fn, params, images).run(image, names).points,
        jax.ShapeDtypeStruct(images.shape[1:], images.dtype),
    )
    used = [name for point in points for name in point]
    return list(dict.fromkeys((*used, *names)))
