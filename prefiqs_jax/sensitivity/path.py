"""The path of the embedding while the weights move: its integral and its length."""

import heapq
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import compiler_options, stored
from prefiqs_jax.sensitivity.embedding import embed, norms
from prefiqs_jax.sensitivity.finite import weights_at
from prefiqs_jax.sensitivity.linearise import check_delta
from prefiqs_jax.types import ApplyFn, Delta, Images, Params

NODES = 8
"""Gauss-Legendre nodes of a panel: exact for polynomials of degree 15."""

KINK_NODES = 2
"""Nodes of a panel in which the integrand jumps: more of them would gain nothing."""


class PathIntegral(NamedTuple):
    """Integrals along t ↦ z(x; θ + tδ), t from 0 to 1."""

    displacement: NDArray
    """∫ J(θ + tδ) δ dt, shape (batch, dim)."""
    length: NDArray
    """∫ ‖J(θ + tδ) δ‖ dt, shape (batch,); at least the chord, ‖displacement‖."""
    panels: int
    """Into how many parts the path was cut."""
    error: NDArray
    """Sum over the panels of ‖integral - (z(b) - z(a))‖, shape (batch,): no less than
    the error of the displacement."""


class _Panel(NamedTuple):
    start: float
    end: float
    displacement: NDArray
    length: NDArray
    error: NDArray
    nodes: int
    """For its halves."""


def path_integral(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    tolerance: float = 1e-8,
    *,
    largest_panels: int = 4096,
) -> PathIntegral:
    """Integrate the Jacobian-vector product from the dense to the pruned network.

    Composite Gauss-Legendre quadrature. What a panel from a to b must give is known,
    z(θ + bδ) - z(θ + aδ), so its error is, too: the panel with the largest is halved
    until the errors add up to no more than the tolerance. Where the input of a ReLU
    changes sign the integrand jumps, and panels close in on that place.

    Runs on the host, and compiles one panel; it cannot be wrapped in ``jax.jit``.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim). Must treat each
        image alone. Another function object is compiled anew.
    params
        Dense weights θ.
    delta
        Change δ of the weights; same structure, shapes and dtypes.
    images
        Preprocessed images, shape (batch, height, width, channels).
    tolerance
        Largest error of each image, Euclidean, absolute.
    largest_panels
        Beyond which it gives up; each costs 25 forward passes, or 7
        where the integrand jumps.

    Returns
    -------
    PathIntegral
        Its length has no error bound of its own; the integrand is that of the
        displacement but for the norm.

    Raises
    ------
    InputError
        If delta and params differ in form; a number is not finite; or the tolerance is
        not reached: rounding of this dtype or the number of panels forbids it.

    References
    ----------
    Fundamental theorem of calculus; derivation: docs/theory.md. The refinement is that
    of Piessens et al. (1983). QUADPACK: A subroutine package for automatic
    integration. Springer. Section 2.2.

    Examples
    --------
    A quarter turn, along a straight line of the weights.

    >>> theta, delta = jnp.eye(2), jnp.array([[-1.0, 1.0], [0.0, 0.0]])
    >>> one = jnp.array([[1.0, 0.0]])
    >>> along = path_integral(lambda p, x: x @ p, theta, delta, one, 1e-5)
    >>> print(along.displacement.round(5), along.length.round(3))
    [[-1.  1.]] [1.571]
    """
    check_delta(params, delta)
    if not tolerance > 0:
        message = f"tolerance {tolerance}: choose a positive error such as 1e-6"
        raise InputError(message)

    point, integrate = _programs(jnp.result_type(*jax.tree.leaves(params)))

    def at(t: float) -> NDArray:
        found = np.asarray(point(apply_fn, params, delta, images, np.float64(t)))
        _check_finite(found, f"the embedding at t = {t:g}")
        return found

    def panel(start: float, end: float, nodes: int, before: float) -> _Panel:
        bounds = np.float64(start), np.float64(end)
        between = integrate(apply_fn, nodes, params, delta, images, *bounds)
        displacement, length = (np.asarray(each) for each in between)
        where = f"the Jacobian-vector product between t = {start:g} and {end:g}"
        _check_finite(displacement, where)
        gap = norms(displacement - (edges[end] - edges[start])).astype(np.float64)
        # Where the integrand is smooth an error falls by far more, in halves.
        nodes = NODES if gap.max() < before / 8 else KINK_NODES
        return _Panel(start, end, displacement, length, gap, nodes)

    edges = {t: at(t) for t in (0.0, 1.0)}
    first = panel(0.0, 1.0, NODES, np.inf)
    panels = [(-first.error.max(), 0.0, first)]
    error = first.error
    best, best_before = (error.max(), 1), np.inf
    while error.max() > tolerance:
        count = len(panels)
        best = min(best, (error.max(), count))
        # Twice as many panels halve the error of every jump, or rounding is reached.
        doubled = count >= 16 and count & (count - 1) == 0
        if count >= largest_panels or (doubled and best[0] > 0.9 * best_before):
            raise _unreached(*best, tolerance, edges[0.0].dtype)
        best_before = best[0] if doubled else best_before
        _, _, worst = heapq.heappop(panels)
        error = error - worst.error
        middle = (worst.start + worst.end) / 2
        edges[middle] = at(middle)
        for ends in ((worst.start, middle), (middle, worst.end)):
            half = panel(*ends, worst.nodes, worst.error.max())
            heapq.heappush(panels, (-half.error.max(), half.start, half))
            error = error + half.error
    displacement = np.sum([each.displacement for _, _, each in panels], axis=0)
    length = np.sum([each.length for _, _, each in panels], axis=0)
    return PathIntegral(displacement, length, len(panels), error)


def path_displacement(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    tolerance: float = 1e-8,
) -> Float[np.ndarray, "batch dim"]:
    """Compute ∫₀¹ J(θ + tδ) δ dt, which is z(θ + δ) - z(θ), shape (batch, dim).

    Arguments and errors as in :func:`path_integral`, of which it is the displacement.
    """
    return path_integral(apply_fn, params, delta, images, tolerance).displacement


@cache
def _programs(dtype: np.dtype) -> tuple[Any, Any]:
    """Jit what a panel takes, under the options that are the fastest here."""
    options = compiler_options(dtype)
    return (
        jax.jit(_point, static_argnums=0, compiler_options=options),
        jax.jit(_integrate, static_argnums=(0, 1), compiler_options=options),
    )


def _point(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Any, t: Array
) -> Array:
    """Compute z(θ + tδ)."""
    return embed(apply_fn, weights_at(params, delta, t), images)


def tangent_at(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Any, t: Array
) -> Array:
    """Compute J(θ + tδ) δ, shape (batch, dim), within a loop over t."""
    weights = stored(lambda: weights_at(params, delta, t), t)
    # Not linearised: slice after slice then keeps nothing for its tangent.
    return jax.jvp(lambda w: embed(apply_fn, w, images), (weights,), (delta,))[1]


def _integrate(
    apply_fn: ApplyFn,
    count: int,
    params: Params,
    delta: Delta,
    images: Any,
    a: Array,
    b: Array,
) -> tuple[Array, Array]:
    """Integrate the tangent, and its norm, from a to b, by so many nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    half = (b - a) / 2

    tangents = jax.lax.map(
        lambda t: tangent_at(apply_fn, params, delta, images, t),
        a + half * (1 + jnp.asarray(nodes, half.dtype)),
    )
    share = (half * jnp.asarray(weights, half.dtype)).astype(tangents.dtype)
    return (
        jnp.sum(tangents * share[:, None, None], axis=0),
        jnp.sum(norms(tangents) * share[:, None], axis=0),
    )


def _check_finite(rows: Any, what: str) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=-1))
    if bad.size:
        more = f" (and {bad.size - 1} more)" if bad.size > 1 else ""
        message = f"{what} is not finite for image {bad[0]}{more}: leave the image out"
        raise InputError(message)


def _unreached(error: float, panels: int, tolerance: float, dtype: Any) -> InputError:
    cure = "a larger tolerance"
    if dtype != np.float64:
        cure = f"float64 parameters and images, or {cure}"
    return InputError(
        f"tolerance {tolerance:g} not reached: the path's least error is {error:.1e}, "
        f"with {panels} panels in {dtype}; take {cure}"
    )
