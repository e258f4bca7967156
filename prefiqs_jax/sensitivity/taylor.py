"""Taylor coefficients of the embedding along a direction of the weights.

The network is traced, and every operation of it maps the coefficients of one scalar t:
with x(t) = x₀ + x₁ t + … and a kernel W + t δ, the order j of a convolution is
x_j ∗ W + x_{j-1} ∗ δ, and two orders share one of their four products. Nested forward
mode, which carries several tangents that are equal, is used within single operations
that have no such rule.
"""

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from math import factorial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.jaxprs import CHECKPOINTS, PLAIN, called, interpret
from prefiqs_jax.sensitivity.embedding import norms, unit
from prefiqs_jax.sensitivity.linearise import check_delta
from prefiqs_jax.types import ApplyFn, Delta, Images, Params

LARGEST_ORDER = 6

Run: TypeAlias = Callable[[Sequence[Any]], list[Any]]
Coefficients: TypeAlias = list[Array] | None
"""Those of t, t², … of one value, as many as are not zero; None of what stays."""

_LINEAR = frozenset(
    (
        *("add", "add_any", "sub", "neg", "reshape", "transpose", "squeeze"),
        *("broadcast_in_dim", "expand_dims", "convert_element_type", "slice", "pad"),
        *("concatenate", "rev", "copy", "reduce_sum", "cumsum", "select_n", "gather"),
        *("dynamic_slice", "split", "reduce_precision", "reduce_window_sum"),
    )
)
"""Primitives linear in all their real operands together."""

_BILINEAR = frozenset(("mul", "dot_general", "conv_general_dilated"))

# Their derivatives are those that their rules state, not those of what they run.
_WITH_RULES = frozenset(("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"))


class Expansion(NamedTuple):
    """The unit embedding of some images, to be expanded along directions."""

    embedding: Array
    """Unit rows z(x; θ), shape (batch, dim)."""
    norm: Array
    """‖f(x; θ)‖ before normalisation, shape (batch,)."""
    push: Callable[[Delta], Array]
    """``delta -> (order, batch, dim)``: z^(k)(0)/k! of t ↦ z(x; θ + tδ), k = 1, 2, …;
    about 2, 3, 5 forward passes at order 1, 2, 3. For several directions on a CPU use
    ``jax.lax.map``; ``jax.vmap`` makes grouped convolutions there."""


def expand(
    apply_fn: ApplyFn, params: Params, images: Images, order: int = 3
) -> Expansion:
    """Run the dense pass that the Taylor expansions along all directions share.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim). Must treat each
        image alone.
    params
        Dense weights θ. Directions have their structure, shapes and dtypes.
    images
        Preprocessed images, shape (batch, height, width, channels).
    order
        The highest, 1 to 6. A loop within ``apply_fn`` (``lax.scan``) is run again for
        each direction, so slice the images outside.

    Returns
    -------
    Expansion
        Its ``push`` raises InputError if a direction and ``params`` differ in
        structure, or a leaf in shape or dtype. The intermediate results of the whole
        network stay in memory as long as it is used.

    Raises
    ------
    InputError
        If the order is not one of 1 to 6.
    """

    def unit_and_norm(weights: Params) -> tuple[Array, Array]:
        raw = apply_fn(weights, images)
        return unit(raw), norms(raw)

    (embedding, norm), push = expand_function(unit_and_norm, params, order)
    return Expansion(embedding, norm, lambda delta: push(delta)[0])


def expand_function(
    function: Callable[[Params], Any], params: Params, order: int
) -> tuple[Any, Callable[[Delta], Any]]:
    """Expand all results of a function of the weights along directions.

    Parameters
    ----------
    function
        Maps ``params`` to a tree of arrays.
    params, order
        As in :func:`expand`.

    Returns
    -------
    tuple
        The tree, and ``delta -> tree``: of each array its coefficients, stacked, of
        shape (order, …). What is not used of them costs nothing under ``jax.jit``.

    Raises
    ------
    InputError
        As :func:`expand`.

    Examples
    --------
    >>> found, push = expand_function(lambda w: [w**2, 1 / w], jnp.array(2.0), 3)
    >>> [each.tolist() for each in push(jnp.array(1.0))]
    [[4.0, 1.0, 0.0], [-0.25, 0.125, -0.0625]]
    """
    if order not in range(1, LARGEST_ORDER + 1):
        message = f"order {order}: choose a whole number from 1 to {LARGEST_ORDER}"
        raise InputError(message)
    program, shapes = jax.make_jaxpr(function, return_shape=True)(params)
    structure = jax.tree.structure(shapes)
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(params)]
    dense: list[list[Any]] = []

    def keep(equation: Any, values: Any, notes: Any, run: Run) -> Any:
        del equation, notes
        dense.append(run(values))
        return dense[-1], [None for _ in dense[-1]]

    outputs, _ = interpret(program, leaves, [None for _ in leaves], keep, opens=_opens)

    def push(delta: Delta) -> Any:
        check_delta(params, delta)
        known = iter(dense)

        def advance(equation: Any, values: Any, notes: Any, run: Run) -> Any:
            found = next(known)
            return found, _coefficients(equation, values, notes, run, found, order)

        moved = [[change] for change in jax.tree.leaves(delta)]
        _, along = interpret(program, leaves, moved, advance, opens=_opens)
        found = []
        for output, each in zip(outputs, along, strict=True):
            own = each or []
            zeros = [jnp.zeros_like(output)] * (order - len(own))
            found.append(jnp.stack([*own, *zeros]))
        return structure.unflatten(found)

    return structure.unflatten(outputs), push


def _opens(equation: Any, notes: Any) -> bool:
    del notes
    return not _is_whole(equation) and equation.primitive.name not in _WITH_RULES


def _is_whole(equation: Any) -> bool:
    """Tell a call whose inner results are not kept but computed again.

    Checkpoints say so: those of a depthwise convolution are nine times its input. And
    `interpret` would take another way through what is in ``PLAIN``.
    """
    return equation.primitive.name in CHECKPOINTS or (
        equation.params.get("name") in PLAIN
    )


def _coefficients(
    equation: Any,
    values: list[Any],
    notes: list[Coefficients],
    run: Run,
    results: list[Any],
    order: int,
) -> list[Coefficients]:
    """Expand one operation, given the coefficients of its operands."""
    degrees = [len(note) for note in notes if note is not None]
    real = [jnp.issubdtype(jnp.result_type(r), jnp.inexact) for r in results]
    if not degrees or not any(real):
        return [None] * len(results)
    if _is_whole(equation):

        def again(equation: Any, values: Any, notes: Any, run: Run) -> Any:
            found = run(values)
            return found, _coefficients(equation, values, notes, run, found, order)

        return interpret(called(equation), values, notes, again, opens=_opens)[1]
    name = equation.primitive.name
    if name in _BILINEAR or (name == "div" and notes[1] is None):
        first, second = (
            [value, *(note or [])] for value, note in zip(values, notes, strict=True)
        )
        if name != "mul" and {2, order + 1} == {len(first), len(second)} and order > 1:
            return [_by_pairs(first, second, lambda *pair: run(pair)[0])]
        return [
            [
                reduce(
                    operator.add,
                    (
                        run([first[j - i], second[i]])[0]
                        for i in range(len(second))
                        if 0 <= j - i < len(first)
                    ),
                )
                for j in range(1, min(order, sum(degrees)) + 1)
            ]
        ]
    if name in _LINEAR:
        each = [
            run([_entry(v, n, j) for v, n in zip(values, notes, strict=True)])
            for j in range(max(degrees))
        ]
    else:
        each = _nested(values, notes, run, real, order)
    by_result = zip(*each, strict=True)
    return [list(c) if r else None for c, r in zip(by_result, real, strict=True)]


def _by_pairs(
    first: list[Array], second: list[Array], product: Callable[[Array, Array], Array]
) -> list[Array]:
    """Expand the product of a series with W + tδ: two orders by three products.

    x_{j+1} W + x_j δ = (x_{j+1} - s x_j) W + x_j (sW + δ), and
    x_j W + x_{j-1} δ = x_j (sW + δ) / s + (x_{j-1} - x_j / s) δ
    share one. With s = ‖δ‖ / ‖W‖ no term is larger than those of the plain sum, so
    nothing is lost to rounding.
    """
    if len(first) == 2:
        return _by_pairs(second, first, lambda x, w: product(w, x))
    (weights, delta), order = second, len(first) - 1
    ratio = jnp.linalg.norm(delta.ravel()) / jnp.linalg.norm(weights.ravel())
    scale = jnp.where((ratio > 0) & jnp.isfinite(ratio), ratio, jnp.ones_like(ratio))
    found = []
    for j in range(1, order, 2):
        shared = product(first[j], scale * weights + delta)
        ahead = product(first[j + 1] - scale * first[j], weights)
        behind = product(first[j - 1] - first[j] / scale, delta)
        found += [shared / scale + behind, ahead + shared]
    if order % 2:
        found.append(product(first[-1], weights) + product(first[-2], delta))
    return found


def _entry(value: Any, note: Coefficients, place: int) -> Any:
    """Give an operand's coefficient; of a predicate or an index, itself."""
    if note is not None and place < len(note):
        return note[place]
    if jnp.issubdtype(jnp.result_type(value), jnp.inexact):
        return jnp.zeros_like(value)
    return value


def _nested(
    values: list[Any],
    notes: list[Coefficients],
    run: Run,
    real: list[bool],
    order: int,
) -> list[list[Any]]:
    """Differentiate one operation along its operands' paths, as often as needed.

    Derivatives, d_j = j! c_j, are what forward mode maps: if y^(k) is a function of
    d_0, …, d_k of the operands, then y^(k+1) is its derivative along d_1, …, d_{k+1}.
    """
    path = {
        (i, j): derivative
        for i, note in enumerate(notes)
        if note is not None
        for j, derivative in enumerate(
            [values[i], *(c * factorial(j + 1) for j, c in enumerate(note))]
        )
    }

    def apply(at: dict[tuple[int, int], Any]) -> list[Any]:
        operands = [at.get((i, 0), value) for i, value in enumerate(values)]
        found = zip(run(operands), real, strict=True)
        return [result for result, is_real in found if is_real]

    def ahead(function: Callable[..., Any], depth: int) -> Callable[..., Any]:
        def derived(at: dict[tuple[int, int], Any]) -> list[Any]:
            varying = {
                (i, j): at[i, j] for i, j in at if j <= depth and (i, j + 1) in at
            }
            along = {(i, j): at[i, j + 1] for i, j in varying}
            return jax.jvp(lambda some: function(at | some), (varying,), (along,))[1]

        return derived

    found = []
    function = apply
    for k in range(1, order + 1):
        function = ahead(function, k - 1)
        values_found = iter(function(path))
        scale = 1 / factorial(k)
        found.append([next(values_found) * scale if r else None for r in real])
    return found


def taylor(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Images, order: int = 3
) -> Float[Array, "order batch dim"]:
    """Expand the L2-normalised embedding along a direction of the weights.

    Computes the coefficients c_k = z^(k)(0) / k!, k = 1 … order, of t ↦ z(x; θ + tδ),
    exactly. A convolution is taken once for the dense pass, and 2, 3, 5, 6, 8, 9 times
    for order 1 to 6.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim). Must treat each
        image alone.
    params
        Dense weights θ.
    delta
        Direction δ; same structure, shapes and dtypes as ``params``.
    images
        Preprocessed images, shape (batch, height, width, channels).
    order
        The highest, 1 to 6.

    Returns
    -------
    Array
        Shape (order, batch, dim); the first is the Jacobian-vector product.

    Raises
    ------
    InputError
        If the order is not one of 1 to 6, or delta and params differ in structure, or
        a leaf in shape or dtype.

    Notes
    -----
    A network with ReLU or PReLU is smooth only up to the first t at which an input of
    one changes sign: the coefficients are those of the smooth piece at t = 0.

    References
    ----------
    Griewank and Walther (2008). Evaluating Derivatives, 2nd ed. SIAM. Chapter 13:
    propagation of Taylor coefficients. Derivation: docs/theory.md.

    Examples
    --------
    A plane turning by atan(t): cos = 1 - t²/2 + …, sin = t - t³/2 + …

    >>> theta, delta = jnp.eye(2), jnp.array([[0.0, 1.0], [0.0, 0.0]])
    >>> one = jnp.array([[1.0, 0.0]])
    >>> taylor(lambda p, x: x @ p, theta, delta, one)[:, 0].round(6) + 0.0
    Array([[ 0. ,  1. ],
           [-0.5,  0. ],
           [ 0. , -0.5]], dtype=...)
    """
    return expand(apply_fn, params, images, order).push(delta)
