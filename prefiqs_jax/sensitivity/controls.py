"""Is the pruning direction special? Other directions of its norm in every layer."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, core

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.sensitivity.agreement import Agreement, agreement
from prefiqs_jax.sensitivity.embedding import embed
from prefiqs_jax.sensitivity.expected import random_signs
from prefiqs_jax.sensitivity.linearise import Linearised, check_delta, linearise
from prefiqs_jax.types import ApplyFn, Delta, Images, Params


def _gaussian(weights: Array, change: Array, key: Array) -> Array:
    del weights
    return _of_norm(jax.random.normal(key, change.shape, change.dtype), change)


def _signs(weights: Array, change: Array, key: Array) -> Array:
    del weights
    return change * random_signs(key, change)


def _shuffled_mask(weights: Array, change: Array, key: Array) -> Array:
    gone = _permute(change != 0, key)
    return _of_norm(jnp.where(gone, -weights, jnp.zeros_like(weights)), change)


def _permuted(weights: Array, change: Array, key: Array) -> Array:
    del weights
    return _permute(change, key)


def _growth(weights: Array, change: Array, key: Array) -> Array:
    del weights, key
    return -change


def _permute(leaf: Array, key: Array) -> Array:
    if leaf.size <= _SORTED:
        # One sort by random numbers; `jax.random.permutation` sorts three times, for
        # the one pair in 2³² that draws the same number and keeps its order here.
        bits = jax.random.bits(key, (leaf.size,), jnp.uint32)
        found = jax.lax.sort((bits, leaf.ravel()), num_keys=1)[1]
    else:
        found = leaf.ravel()[_sheared(leaf.size, key)]
    return found.reshape(leaf.shape)


def _sheared(count: int, key: Array) -> Array:
    """Permute 0 … count - 1 by random shears of a grid: in a quarter of a sort's time.

    A shear moves each line of the grid by a step of its own, and is one to one. What
    falls on the grid's few places beyond ``count`` is sheared again until it does not.
    """
    side = math.isqrt(count - 1) + 1
    lines = -(-count // side)
    keys = jax.random.split(key, 2 * _SHEARS)
    steps = [
        jax.random.randint(each, (n,), 0, m, jnp.int32)
        for i, each in enumerate(keys)
        for n, m in [((side, lines), (lines, side))[i % 2]]
    ]

    def shear(place: Array) -> Array:
        line, column = place // side, place % side
        for down, along in zip(steps[::2], steps[1::2], strict=True):
            line = line + down[column]
            line = jnp.where(line >= lines, line - lines, line)
            column = column + along[line]
            column = jnp.where(column >= side, column - side, column)
        return line * side + column

    return jax.lax.while_loop(
        lambda place: jnp.any(place >= count),
        lambda place: jnp.where(place >= count, shear(place), place),
        shear(jnp.arange(count, dtype=jnp.int32)),
    )


def _of_norm(direction: Array, change: Array) -> Array:
    """Scale a direction to the norm of a change; NaN where it has none itself."""
    norm = jnp.linalg.norm(change.ravel())
    factor = norm / jnp.linalg.norm(direction.ravel())
    return direction * jnp.where(norm == 0, jnp.zeros_like(norm), factor)


_SORTED = 2**16
"""Weights up to which a leaf is permuted by a sort: any order is equally likely."""
_SHEARS = 4
"""Of lines and of columns; after three, places of neighbours are independent."""

_MAKERS = {
    "gaussian": _gaussian,
    "signs": _signs,
    "shuffled-mask": _shuffled_mask,
    "permuted": _permuted,
    "growth": _growth,
}
CONTROLS = tuple(_MAKERS)
"""Kinds of controls, see :func:`control_delta`."""
DETERMINISTIC = ("growth",)
"""Those that draw nothing."""


def control_delta(kind: str, params: Params, delta: Delta, key: Array) -> Delta:
    """Make another direction with the norm of δ in every leaf.

    ==================  ===========================================================
    ``gaussian``        normal numbers, scaled: uniform on the sphere
    ``signs``           δ, the sign of each weight's change drawn anew
    ``shuffled-mask``   -θ at as many places as δ changes, drawn at random within the
                        leaf; scaled, because random weights are larger than the
                        smallest
    ``permuted``        the numbers of δ, permuted within the leaf
    ``growth``          -δ: for a pruning direction, the weights that would go are
                        doubled
    ==================  ===========================================================

    A leaf that δ does not change stays as it is. Under ``jax.jit`` one program makes
    any number of directions; growth draws nothing.

    Parameters
    ----------
    kind
        One of :data:`CONTROLS`.
    params
        Dense weights θ.
    delta
        Direction δ; same structure, shapes and dtypes.
    key
        Of ``jax.random``.

    Returns
    -------
    Delta
        In every leaf of the Euclidean norm of δ, to rounding. NaN in a leaf whose
        shuffled mask meets no weight but zeros: nothing has the norm then.

    Raises
    ------
    InputError
        If there is no such kind; if delta and params differ in form; if delta, where
        its numbers are known (not within ``jax.jit``), changes nothing.

    References
    ----------
    Derivation: docs/theory.md.

    Examples
    --------
    >>> theta = {"w": jnp.array([3.0, 4.0, 5.0])}
    >>> delta = {"w": jnp.array([-3.0, -4.0, 0.0])}
    >>> other = control_delta("gaussian", theta, delta, jax.random.key(0))
    >>> print(jnp.linalg.norm(other["w"]).round(4))
    5.0
    >>> control_delta("growth", theta, delta, jax.random.key(0))
    {'w': Array([ 3.,  4., -0.], dtype=...)}
    """
    check_controls([kind], delta)
    check_delta(params, delta)
    return _control(kind, params, delta, key)


def _control(kind: str, params: Params, delta: Delta, key: Array) -> Delta:
    changes, structure = jax.tree.flatten(delta)
    keys = jax.random.split(key, len(changes))
    leaves = map(_MAKERS[kind], jax.tree.leaves(params), changes, keys)
    return structure.unflatten(leaves)


def check_controls(kinds: Sequence[str], delta: Delta) -> None:
    """Raise InputError for an unknown control, or a direction that changes nothing.

    Within ``jax.jit`` the numbers of the direction are not known: check before.

    >>> check_controls(["gausian"], {"w": np.ones(2)})
    Traceback (most recent call last):
    prefiqs_jax.errors.InputError: unknown control 'gausian'; did you mean gaussian? ...
    """
    for kind in kinds:
        check_choice("control", kind, CONTROLS)
    if not kinds:
        message = f"no control is given; choose from {', '.join(CONTROLS)}"
        raise InputError(message)
    leaves = jax.tree.leaves(delta)
    known = not any(isinstance(leaf, core.Tracer) for leaf in leaves)
    if known and not any(np.any(np.asarray(leaf)) for leaf in leaves):
        message = (
            "delta changes no weight, so that no control has its norm: give a higher "
            "sparsity, or layers that have weights"
        )
        raise InputError(message)


def control_responses(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    kinds: Sequence[str],
    replicates: int,
    key: Array,
) -> dict[str, Agreement]:
    """Compute first order and drift along control directions.

    All share one linearisation. One direction at a time is made, pushed and applied:
    1 + 3 R forward passes for R directions, and memory for one.

    Parameters
    ----------
    apply_fn, params, delta, images
        As in :func:`prefiqs_jax.sensitivity.embedding_jvp`.
    kinds
        Of :data:`CONTROLS`.
    replicates
        Directions of each kind; of growth, which is always the same, there is one.
    key
        Of ``jax.random``. Replicate r of a kind is the same whatever other kinds and
        however many replicates are asked for.

    Returns
    -------
    dict
        Kind to :class:`~prefiqs_jax.sensitivity.Agreement`, its numbers of shape
        (replicates, batch).

    Raises
    ------
    InputError
        As :func:`control_delta`; and if there are fewer than one replicate.

    Examples
    --------
    A direction that turns the embedding by a right angle, and the opposite one.

    >>> theta, delta = jnp.eye(2), jnp.array([[-1.0, 1.0], [0.0, 0.0]])
    >>> found = control_responses(lambda p, x: x @ p, theta, delta,
    ...     jnp.array([[2.0, 0.0]]), ["growth"], 1, jax.random.key(0))
    >>> [round(float(value[0, 0]), 3) for value in found["growth"]]
    [1.0, 0.46, 0.973, 0.563]
    """
    kinds = tuple(dict.fromkeys(kinds))
    check_controls(kinds, delta)
    check_delta(params, delta)
    if replicates < 1:
        message = f"replicates is {replicates}; give at least 1"
        raise InputError(message)
    lin = linearise(apply_fn, params, images)
    return responses_along(apply_fn, lin, params, delta, images, kinds, replicates, key)


def responses_along(
    apply_fn: ApplyFn,
    lin: Linearised,
    params: Params,
    delta: Delta,
    images: Images,
    kinds: Sequence[str],
    replicates: int,
    key: Array,
) -> dict[str, Agreement]:
    """Compute what :func:`control_responses` does from a linearisation at hand.

    ``lin`` is that of ``params`` and ``images``; 3 forward passes a direction.
    """
    makers = [partial(_control, kind, params, delta) for kind in kinds]

    def respond(which: tuple[Array, Array]) -> Agreement:
        # A branch, not a program of its own for each kind: networks compile once.
        direction = jax.lax.switch(which[0], makers, which[1])
        moved = embed(apply_fn, jax.tree.map(jnp.add, params, direction), images)
        return agreement(lin.push(direction), moved - lin.embedding)

    counts = [1 if kind in DETERMINISTIC else replicates for kind in kinds]
    keys = [
        jax.random.fold_in(jax.random.fold_in(key, CONTROLS.index(kind)), number)
        for kind, count in zip(kinds, counts, strict=True)
        for number in range(count)
    ]
    places = np.repeat(np.arange(len(kinds), dtype=np.int32), counts)
    found = jax.lax.map(respond, (jnp.asarray(places), jnp.stack(keys)))
    return {
        kind: Agreement(*(values[places == index] for values in found))
        for index, kind in enumerate(kinds)
    }
