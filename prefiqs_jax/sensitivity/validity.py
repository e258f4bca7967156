"""Where the Taylor sums of the drift hold: remainders, their slopes, largest steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import stored
from prefiqs_jax.sensitivity.embedding import embed, norms
from prefiqs_jax.sensitivity.finite import weights_at
from prefiqs_jax.sensitivity.linearise import check_delta
from prefiqs_jax.sensitivity.taylor import expand
from prefiqs_jax.types import ApplyFn, Delta, Images, Params


def displacements_along(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    scales: Float[Any, " scales"],
) -> Float[Array, "scales batch dim"]:
    """Compute z(x; θ + tδ) - z(x; θ) at every scale t, one forward pass each.

    Parameters
    ----------
    apply_fn, params, delta, images
        As in :func:`prefiqs_jax.sensitivity.displacement`.
    scales
        t, shape (scales,).

    Returns
    -------
    Array
        Shape (scales, batch, dim).

    Raises
    ------
    InputError
        If delta and params differ in structure, or a leaf in shape or dtype.
    """
    check_delta(params, delta)

    def moved(t: Array) -> Array:
        weights = stored(lambda: weights_at(params, delta, t), t)
        return embed(apply_fn, weights, images)

    dense = embed(apply_fn, params, images)
    return jax.lax.map(lambda t: moved(t) - dense, jnp.asarray(scales))


def taylor_sums(
    coefficients: Float[Array, "order batch dim"], scales: Float[Any, " scales"]
) -> Float[Array, "scales batch dim"]:
    """Evaluate Σ_k t^k c_k, k = 1, 2, …, at every scale t.

    >>> taylor_sums(jnp.array([[[3.0]], [[1.0]]]), jnp.array([1.0, 2.0])).ravel()
    Array([ 4., 10.], dtype=...)
    """
    t = jnp.asarray(scales).astype(coefficients.dtype)[:, None, None]
    total = jnp.zeros((len(t), *coefficients.shape[1:]), t.dtype)
    for coefficient in coefficients[::-1]:
        total = (total + coefficient[None]) * t
    return total


def remainders(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    scales: Float[Any, " scales"],
    order: int = 1,
) -> Float[Array, "scales batch"]:
    """Compute what the Taylor sum leaves of the displacement, along one direction.

    ‖z(θ + tδ) - z(θ) - Σ_{k ≤ order} t^k c_k‖ for every scale t. Where the network is
    smooth it falls as t^(order + 1).

    Parameters
    ----------
    apply_fn, params, delta, images
        As in :func:`prefiqs_jax.sensitivity.taylor`; the coefficients are computed
        once, and one forward pass for every scale.
    scales
        t, shape (scales,).
    order
        Order of the sum, 1 to 6.

    Returns
    -------
    Array
        Shape (scales, batch). In float32 rounding of about 1e-6 is added to it: small
        scales need float64.

    Raises
    ------
    InputError
        As :func:`prefiqs_jax.sensitivity.taylor`.

    References
    ----------
    Derivation: docs/theory.md.

    Examples
    --------
    A plane turning by atan(t): sin(atan t) - t is -t³/2, cos(atan t) - 1 is -t²/2.

    >>> theta, delta = jnp.eye(2), jnp.array([[0.0, 1.0], [0.0, 0.0]])
    >>> one, t = jnp.array([[1.0, 0.0]]), jnp.array([0.1, 0.01])
    >>> left = remainders(lambda p, x: x @ p, theta, delta, one, t)
    >>> print(local_slopes(t, left).local)
    [[1.99...]]
    """
    coefficients = expand(apply_fn, params, images, order).push(delta)
    found = displacements_along(apply_fn, params, delta, images, scales)
    return norms(found - taylor_sums(coefficients, scales))


class Slopes(NamedTuple):
    """Slopes of remainders against scales on log axes."""

    local: NDArray
    """Between neighbouring scales, the smallest first, shape (scales - 1, batch)."""
    fitted: NDArray
    """Of the least-squares line through all of them, shape (batch,)."""
    low: NDArray
    """Lower end of its 95 % confidence interval (Student's t, scales - 2 degrees of
    freedom), shape (batch,)."""
    high: NDArray
    """Upper end."""


def local_slopes(
    scales: ArrayLike, remainders: Float[Any, "scales batch"], confidence: float = 0.95
) -> Slopes:
    """Measure by which power of the scale remainders fall.

    Parameters
    ----------
    scales
        t > 0, shape (scales,), in any order.
    remainders
        Shape (scales, batch). One that is zero or not finite has no logarithm: it is
        left out of the fit, and the slopes beside it are NaN.
    confidence
        Level of the interval.

    Returns
    -------
    Slopes
        NaN where fewer than two remainders of an image are left; the interval, fewer
        than three. The interval says how straight the line is: scales are no sample.

    Raises
    ------
    InputError
        If scales are not positive and distinct, or not as many as remainders.

    Examples
    --------
    >>> t = np.array([1.0, 0.1, 0.01])
    >>> slopes = local_slopes(t, 3 * t[:, None] ** 2)
    >>> slopes.local.ravel(), slopes.fitted
    (array([2., 2.]), array([2.]))
    """
    t, order = _ascending(scales, len(remainders))
    kept = np.asarray(remainders, np.float64)[order]
    y = np.log(
        kept, where=np.isfinite(kept) & (kept > 0), out=np.full_like(kept, np.nan)
    )
    x = np.log(t)[:, None]
    used = np.isfinite(y)
    count = used.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        from_mean = np.where(used, x - np.sum(x * used, axis=0) / count, 0)
        spread = np.sum(from_mean**2, axis=0)
        mean = np.nansum(y, axis=0) / count
        fitted = np.sum(from_mean * np.where(used, y, 0), axis=0) / spread
        misfit = np.where(used, y - mean - fitted * from_mean, 0)
        error = np.sqrt(np.sum(misfit**2, axis=0) / (count - 2) / spread)
        half = stdtrit(np.maximum(count - 2, 1), (1 + confidence) / 2) * error
    fitted = np.where(count > 1, fitted, np.nan)
    half = np.where(count > 2, half, np.nan)
    return Slopes(
        np.diff(y, axis=0) / np.diff(x, axis=0), fitted, fitted - half, fitted + half
    )


def largest_valid(
    scales: ArrayLike, relative_error: Float[Any, "scales batch"], tolerance: float
) -> Float[np.ndarray, " batch"]:
    """Find, per image, up to which scale or sparsity the error is within a tolerance.

    Parameters
    ----------
    scales
        Scales t or sparsities, positive, shape (scales,), in any order.
    relative_error
        ‖remainder‖ / ‖displacement‖, shape (scales, batch).
    tolerance
        The largest relative error allowed, such as 0.1.

    Returns
    -------
    numpy.ndarray
        Shape (batch,). Where the error first exceeds the tolerance between two scales,
        interpolated on log axes; the largest scale where it never does (the true limit
        may be larger); 0 where it does at the smallest. A NaN counts as an error above
        the tolerance. Nothing can be interpolated between a scale whose error is zero
        and the next, nor towards NaN or infinity: the smaller scale is given.

    Raises
    ------
    InputError
        If scales are not positive and distinct, or not as many as rows of errors, or
        the tolerance is not positive.

    Examples
    --------
    >>> t = np.array([0.1, 1.0])
    >>> largest_valid(t, np.array([[0.01, 0.3, 0.01], [0.1, 0.4, np.nan]]), 0.05)
    array([0.5, 0. , 0.1])
    """
    if not tolerance > 0:
        message = f"tolerance {tolerance}: choose a positive relative error such as 0.1"
        raise InputError(message)
    t, order = _ascending(scales, len(relative_error))
    errors = np.asarray(relative_error, np.float64)[order]
    within = np.logical_and.accumulate(errors <= tolerance, axis=0)
    last = within.sum(axis=0) - 1  # -1: none
    found = np.where(last < 0, 0.0, t[last])
    for image in np.flatnonzero((last >= 0) & (last < len(t) - 1)):
        at = last[image]
        below, above = errors[at : at + 2, image]
        if below > 0 and np.isfinite(above):
            share = np.log(tolerance / below) / np.log(above / below)
            found[image] = t[at] * (t[at + 1] / t[at]) ** share
    return found


def _ascending(scales: ArrayLike, rows: int) -> tuple[NDArray, NDArray]:
    """Give scales in ascending order, and the order that makes them so."""
    t = np.asarray(scales, np.float64)
    if t.shape != (rows,):
        message = f"scales of shape {t.shape} for {rows} rows: give one scale a row"
        raise InputError(message)
    order = np.argsort(t)
    t = t[order]
    if not (np.isfinite(t).all() and (t > 0).all() and (np.diff(t) > 0).all()):
        message = f"scales {t.tolist()}: they must be positive, finite and distinct"
        raise InputError(message)
    return t, order
