"""Is the pruning direction special? Other directions of its norm in every layer."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, core

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.execution.compilation import stored
from prefiqs_jax.sensitivity.agreement import Agreement, agreement
from prefiqs_jax.sensitivity.embedding import embed
from prefiqs_jax.sensitivity.expected import random_signs, split_like
from prefiqs_jax.sensitivity.linearise import Linearised, check_delta, linearise
from prefiqs_jax.types import ApplyFn, Delta, Images, Params

Leaves = list[Array]


def _gaussian(weights: Leaves, changes: Leaves, key: Array) -> Leaves:
    del weights
    # One draw for all leaves: the generator would be compiled for each of them.
    shape = (sum(change.size for change in changes),)
    drawn = jax.random.normal(key, shape, jnp.result_type(float, *changes))
    return list(map(_of_norm, split_like(drawn, changes), changes))


def _signs(weights: Leaves, changes: Leaves, key: Array) -> Leaves:
    del weights
    drawn = random_signs(key, changes)
    return [change * own for change, own in zip(changes, drawn, strict=True)]


def _shuffled_mask(weights: Leaves, changes: Leaves, key: Array) -> Leaves:
    gone = _permuted(weights, [change != 0 for change in changes], key)
    made = [
        jnp.where(own, -leaf, jnp.zeros_like(leaf))
        for own, leaf in zip(gone, weights, strict=True)
    ]
    return list(map(_of_norm, made, changes))


def _permuted(weights: Leaves, changes: Leaves, key: Array) -> Leaves:
    del weights
    sizes = [change.size for change in changes]
    # Stored: the loop that fetches the numbers would hash, too, and one at a time.
    orders = stored(lambda: _orders(sizes, key), jax.random.key_data(key)[0])
    return [
        change.ravel()[order].reshape(change.shape)
        for change, order in zip(changes, orders, strict=True)
    ]


def _growth(weights: Leaves, changes: Leaves, key: Array) -> Leaves:
    del weights, key
    return list(map(jnp.negative, changes))


def _orders(sizes: Sequence[int], key: Array) -> Leaves:
    """Draw an order of the places of each leaf; all from one draw of random bits."""
    small = [size if size <= _SORTED else 0 for size in sizes]
    words = 2 * _SHEARS
    bits = jax.random.bits(key, (words * len(sizes) + sum(small),), jnp.uint32)
    steps, sorted_by = jnp.split(bits, [words * len(sizes)])
    # One sort by random numbers for all; `jax.random.permutation` sorts three times,
    # for the one pair in 2³² that draws the same number and keeps its order here.
    leaf = np.repeat(np.arange(len(small), dtype=np.int32), small)
    place = np.concatenate([np.arange(size, dtype=np.int32) for size in small])
    keyed = (jnp.asarray(leaf), sorted_by, jnp.asarray(place))
    order = jax.lax.sort(keyed, num_keys=2)[2]
    found = jnp.split(order, np.cumsum(small)[:-1])
    for number, size in enumerate(sizes):
        if size > _SORTED:
            own = steps[words * number : words * (number + 1)]
            found[number] = _sheared(size, own)
    return found


def _grid(count: int) -> tuple[int, int]:
    """Give the sides of a grid: exact if a divisor allows, else somewhat too large."""
    root = math.isqrt(count - 1) + 1
    narrowest = max(root // 2, count >> 16)  # lines are 2¹⁶ at most
    exact = (n for n in range(root, narrowest, -1) if count % n == 0)
    side = next(exact, root)
    return side, -(-count // side)


def _sheared(count: int, bits: Array) -> Array:
    """Permute 0 … count - 1 by random shears of a grid, which is quicker than a sort.

    A shear moves each line of the grid by a step of its own, and is one to one. Steps
    are a hash of the line and of ``bits``, two random words for each of the shears. A
    place that falls on the grid's few beyond ``count`` goes where that one falls, until
    it is not beyond.
    """
    side, lines = _grid(count)
    line, column = jnp.indices((lines, side), jnp.uint32)
    for down, along in bits.reshape(_SHEARS, 2):
        line = line + _step(column, down, lines)
        line = jnp.where(line >= lines, line - lines, line)
        column = column + _step(line, along, side)
        column = jnp.where(column >= side, column - side, column)
    order = (line * side + column).astype(jnp.int32).ravel()
    if order.size == count:
        return order
    first = jnp.arange(count, order.size, dtype=jnp.int32)

    def is_open(place: Array) -> Array:
        return (place >= count) & (place != first)  # a cycle beyond has no end, nor use

    beyond = jax.lax.while_loop(
        lambda place: jnp.any(is_open(place)),
        lambda place: jnp.where(is_open(place), order[place], place),
        order[count:],
    )
    order = order[:count]
    return jnp.where(order >= count, beyond[order - count], order)


def _step(line: Array, word: Array, size: int) -> Array:
    """Hash (the finaliser of MurmurHash3) to 0 … size - 1, size up to 2¹⁶."""
    mixed = line ^ word
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        mixed = (mixed ^ (mixed >> shift)) * jnp.uint32(factor)
    mixed = mixed ^ (mixed >> 16)
    # The upper word of mixed · size, without numbers of 64 bits.
    below = ((mixed & 0xFFFF) * jnp.uint32(size)) >> 16
    return ((mixed >> 16) * jnp.uint32(size) + below) >> 16


def _of_norm(direction: Array, change: Array) -> Array:
    """Scale a direction to the norm of a change; NaN where it has none itself."""
    norm = jnp.linalg.norm(change.ravel())
    factor = norm / jnp.linalg.norm(direction.ravel())
    return direction * jnp.where(norm == 0, jnp.zeros_like(norm), factor)


_SORTED = 2**12
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
    return structure.unflatten(_MAKERS[kind](jax.tree.leaves(params), changes, key))


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
    jvp: Array | None = None,
) -> dict[str, Agreement]:
    """Compute what :func:`control_responses` does from a linearisation at hand.

    ``lin`` is that of ``params`` and ``images``; 3 forward passes a direction, and one
    of growth where ``jvp``, which is Jδ, is at hand.
    """
    makers = [partial(_control, kind, params, delta) for kind in kinds]
    opposite = kinds.index("growth") if "growth" in kinds else len(kinds)

    def push(direction: Delta, _: Array) -> Array:
        return lin.push(direction)

    def respond(which: tuple[Array, Array]) -> Agreement:
        # A branch, not a program of its own for each kind: networks compile once.
        direction = jax.lax.switch(which[0], makers, which[1])
        moved = embed(apply_fn, jax.tree.map(jnp.add, params, direction), images)
        if jvp is None:
            return agreement(lin.push(direction), moved - lin.embedding)
        first = jax.lax.cond(
            which[0] == opposite, lambda _, jvp: -jvp, push, direction, jvp
        )
        return agreement(first, moved - lin.embedding)

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
