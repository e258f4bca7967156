"""Kinks of piecewise smooth networks: how many units change side, and what that does.

A unit's input a is what is compared with a threshold, 0 at the kink: the argument of a
PReLU, ReLU or absolute value, the distance to either limit of a clamp. It changes side
between θ and θ + δ if it is negative at one and not at the other; 0 counts as
non-negative.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from prefiqs_jax.sensitivity.embedding import norms, unit
from prefiqs_jax.sensitivity.linearise import Linearised, check_delta
from prefiqs_jax.sensitivity.opened import Opened, open_kinks, sides_of
from prefiqs_jax.sensitivity.taylor import expand_function
from prefiqs_jax.types import ActivationsFn, ApplyFn, Delta, Images, Params

Counts = dict[str, Int[Array, " batch"]]

NEAR = 32.0
"""Rounding of an activation's input, in machine epsilons of its root mean square.

All 46 units of SFace whose side is another in float32 than in float64, of 100 faces,
are within 31; half of them are within 2, nine of ten within 8."""


def activations(apply_fn: ApplyFn) -> ActivationsFn:
    """Find the activations of any JAX function by reading the program it traces to.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim), image by image.

    Returns
    -------
    callable
        ``(params, images) -> {name: inputs}``, inputs of shape (batch, …), in the order
        of the program until ``jax.jit`` sorts them by name. A PReLU has the name of its
        layer, ``layer1.0.prelu``; another that of the weights before it, ``after
        layer1.0.conv1``, with ``at 6`` if the threshold is 6. Without any kink, as with
        GELU, the dict is empty. Several comparisons of one value with one threshold are
        one. Those that are smooth to first order, as in ELU and soft sign, or never
        met, as of a variance with 0, are listed, too; exact equality is not, nor is
        what ``stop_gradient`` hides, nor functions whose own derivative is smooth, as
        softplus. A choice between two values of one image, as in max-out or maximum
        pooling by comparisons, has their difference as its input.

    Raises
    ------
    InputError
        By the result, if the network holds what is not smooth and has no two sides,
        such as ``reduce_max``, a sort, rounding or a kink inside a loop: the message
        names it.

    Examples
    --------
    >>> network = lambda p, x: jax.nn.relu(x @ p["fc"])
    >>> activations(network)({"fc": jnp.ones((1, 2))}, jnp.ones((3, 1))).keys()
    dict_keys(['after fc'])
    """

    def activations_fn(params: Params, images: Images) -> dict[str, Array]:
        return open_kinks(apply_fn, params, images).observe(params, images)[1]

    return activations_fn


def sign_flips(
    activations_fn: ActivationsFn, params: Params, delta: Delta, images: Images
) -> Counts:
    """Count the units whose input is on another side of its kink at θ + δ than at θ.

    Two forward passes.

    Parameters
    ----------
    activations_fn
        ``(params, images) -> {name: inputs}``, inputs of shape (batch, …): a backbone's
        ``activations_fn``, or :func:`activations` of a function.
    params
        Dense weights θ.
    delta
        Change δ of the weights; same structure, shapes and dtypes.
    images
        Preprocessed images, shape (batch, height, width, channels).

    Returns
    -------
    dict
        Name to counts, shape (batch,); empty for a network without kinks.

    Raises
    ------
    InputError
        If delta and params differ in structure, or a leaf in shape or dtype; and as
        ``activations_fn`` does.

    Examples
    --------
    >>> theta, delta = jnp.array([[1.0, -1.0]]), jnp.array([[-2.0, 0.5]])
    >>> sign_flips(lambda p, x: {"relu": x * p}, theta, delta, jnp.ones((1, 2)))
    {'relu': Array([1], dtype=...)}
    """
    check_delta(params, delta)
    before = sides_of(activations_fn(params, images))
    pruned = jax.tree.map(jnp.add, params, delta)
    return _changed(before, activations_fn(pruned, images))


def predicted_flips(
    activations_fn: ActivationsFn, params: Params, delta: Delta, images: Images
) -> Counts:
    """Count the units that would change side if inputs moved by their tangents.

    Those with a + ȧ on another side than a; one forward-mode pass, nothing is pruned.
    Arguments, result and errors as of :func:`sign_flips`.
    """
    check_delta(params, delta)
    inputs, moved = jax.jvp(lambda p: activations_fn(p, images), (params,), (delta,))
    return _changed(sides_of(inputs), jax.tree.map(jnp.add, inputs, moved))


class KinkSplit(NamedTuple):
    """What first order leaves, in two parts: shape (batch, dim) each."""

    smooth: Array
    """z^σ(θ + δ) - z(θ) - Jδ: curvature, with every kink on its side at θ."""
    kinks: Array
    """z(θ + δ) - z^σ(θ + δ): by units that change side."""


def kink_split(
    apply_fn: ApplyFn, params: Params, delta: Delta, images: Images
) -> KinkSplit:
    """Split z(θ + δ) - z(θ) - Jδ into smooth curvature and the effect of kinks.

    z^σ is the network with every unit on the side of its kink where it is at θ. The two
    parts add up exactly. About five forward passes.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim), image by image.
    params, delta, images
        As in :func:`sign_flips`.

    Returns
    -------
    KinkSplit
        ``kinks`` is 0 where no unit changes side.

    Raises
    ------
    InputError
        As :func:`sign_flips` and :func:`activations` do.

    References
    ----------
    Derivation: docs/theory.md.
    """
    found = linearise_kinks(open_kinks(apply_fn, params, images), params, images)
    fixed, moved = found.frozen(delta), found.prune(delta).embedding
    dense = found.dense
    return KinkSplit(fixed - dense.embedding - dense.push(delta), moved - fixed)


def frozen(
    apply_fn: ApplyFn, params: Params, images: Images
) -> Callable[[Params], Float[Array, "batch dim"]]:
    """Freeze every unit on the side of its kink where it is at θ.

    Arguments as of :func:`kink_split`.

    Returns
    -------
    callable
        ``params -> z^σ``, shape (batch, dim): unit embeddings of these images. A smooth
        function, which equals the network, in value and derivatives, at θ and as far as
        no unit changes side.

    Examples
    --------
    >>> network = lambda p, x: jax.nn.relu(x * p)
    >>> fixed = frozen(network, jnp.array([[3.0, 4.0]]), jnp.ones((1, 2)))
    >>> fixed(jnp.array([[-3.0, 4.0]]))
    Array([[-0.6,  0.8]], dtype=...)
    """
    opened = open_kinks(apply_fn, params, images)
    sides = sides_of(opened.observe(params, images)[1])
    return lambda weights: unit(opened.frozen(weights, images, sides))


class Pruned(NamedTuple):
    """A network at θ + δ beside that at θ."""

    embedding: Array
    """Unit rows, shape (batch, dim)."""
    norm: Array
    """‖f(x; θ + δ)‖, shape (batch,)."""
    flips: Counts
    """Name to units that changed side."""


class LinearisedKinks(NamedTuple):
    """What one dense pass gives, for many directions."""

    dense: Linearised
    """Unit embedding, norm, and ``push(delta) -> jvp``."""
    inputs: dict[str, Array]
    """Of the kinks at θ, by name, shape (batch, …)."""
    expand: Callable[[Delta], tuple[Array, Counts]]
    """``delta -> (coefficients, predicted flips)``, one pass for both: those of the
    Taylor series, shape (order, batch, dim), the first of which is the jvp."""
    prune: Callable[[Delta], Pruned]
    """One forward pass."""
    frozen: Callable[[Delta], Array]
    """``delta -> z^σ(θ + δ)``, shape (batch, dim), one forward pass."""


def linearise_kinks(
    opened: Opened, params: Params, images: Images, order: int = 1
) -> LinearisedKinks:
    """Share one dense pass among Taylor series, flips and splits of many directions.

    Its functions can be mapped over directions, by ``jax.lax.map`` or ``jax.vmap``.

    Parameters
    ----------
    opened
        From :func:`open_kinks`; :meth:`Opened.of` takes the weights in another form.
    params
        Weights θ that ``opened`` takes; directions have their form.
    images
        Images of the form that ``opened`` was made for.
    order
        Of the Taylor series, 1 to 6.

    Returns
    -------
    LinearisedKinks
        Its functions raise InputError if a direction has not the form of ``params``.
    """

    def observe(weights: Params) -> tuple[tuple[Array, dict[str, Array]], Array]:
        raw, inputs = opened.observe(weights, images)
        return (unit(raw), inputs), norms(raw)

    if order == 1:
        outputs, tangent, norm = jax.linearize(observe, params, has_aux=True)

        def coefficients(delta: Delta) -> tuple[Array, dict[str, Array]]:
            check_delta(params, delta)
            return jax.tree.map(lambda along: along[None], tangent(delta))

    else:
        (outputs, norm), push = expand_function(observe, params, order)

        def coefficients(delta: Delta) -> tuple[Array, dict[str, Array]]:
            return push(delta)[0]

    embedding, inputs = outputs
    sides = sides_of(inputs)

    def expand(delta: Delta) -> tuple[Array, Counts]:
        along, moved = coefficients(delta)
        after = jax.tree.map(lambda a, along: a + along[0], inputs, moved)
        return along, _changed(sides, after)

    def prune(delta: Delta) -> Pruned:
        check_delta(params, delta)
        raw, after = opened.observe(jax.tree.map(jnp.add, params, delta), images)
        return Pruned(unit(raw), norms(raw), _changed(sides, after))

    def on_sides(delta: Delta) -> Array:
        check_delta(params, delta)
        weights = jax.tree.map(jnp.add, params, delta)
        return unit(opened.frozen(weights, images, sides))

    dense = Linearised(embedding, norm, lambda delta: coefficients(delta)[0][0])
    return LinearisedKinks(dense, inputs, expand, prune, on_sides)


def _changed(sides: Mapping[str, Array], after: Mapping[str, Array]) -> Counts:
    """Count the units of each image that are on another side than before."""
    return {
        name: jnp.sum((value < 0) != (sides[name] < 0), tuple(range(1, value.ndim)))
        for name, value in after.items()
    }


def near_kinks(
    activations_fn: ActivationsFn,
    params: Params,
    images: Images,
    tolerance: float = NEAR,
) -> Counts:
    """Count the units within rounding of their kink, where first order jumps.

    Their side, and with it the first order, may be another in another order of
    summation, on another device or in float64.

    Parameters
    ----------
    activations_fn, params, images
        As in :func:`sign_flips`.
    tolerance
        ``|a|`` up to which a unit is near its kink, in machine epsilons of the root
        mean square of its activation over the image. In float64 next to none is near.

    Returns
    -------
    dict
        Name to counts, shape (batch,).
    """
    inputs = activations_fn(params, images)
    return {
        name: jnp.sum(near, tuple(range(1, near.ndim)))
        for name, near in _near(inputs, tolerance).items()
    }


def _near(inputs: Mapping[str, Array], tolerance: float) -> dict[str, Array]:
    def near(value: Array) -> Array:
        epsilon = float(jnp.finfo(value.dtype).eps)
        # The margin of a maximum pool is at -inf.
        finite = jnp.where(jnp.isfinite(value), value, jnp.zeros_like(value))
        squares = jnp.square(finite)
        scale = jnp.mean(squares, tuple(range(1, value.ndim)), keepdims=True)
        return jnp.abs(value) <= tolerance * epsilon * jnp.sqrt(scale)

    return {name: near(value) for name, value in inputs.items()}


def first_order_jump(
    apply_fn: ApplyFn,
    params: Params,
    delta: Delta,
    images: Images,
    tolerance: float = NEAR,
) -> Float[Array, " batch"]:
    """Estimate how far the first order may jump by rounding of activations' inputs.

    ‖J^τδ - Jδ‖, where τ has all units of :func:`near_kinks` on their other side. Since
    rounding moves few of them at once, the real difference is smaller: of 100 faces on
    SFace at sparsity 0.3, 3 differ from float64 by more than 1e-4 of ‖Jδ‖, and all of
    them are among the 61 where a tolerance of 8 says that they may. With the sides of
    float64, float32 has the first order of float64 to 4e-7 on every face. Two
    linearised passes, about six forwards.

    Parameters
    ----------
    apply_fn, params, delta, images
        As in :func:`kink_split`.
    tolerance
        As in :func:`near_kinks`.

    Returns
    -------
    Array
        Shape (batch,); 0, to rounding, where no unit is near its kink.
    """
    check_delta(params, delta)
    opened = open_kinks(apply_fn, params, images)
    found = linearise_kinks(opened, params, images)
    sides, near = sides_of(found.inputs), _near(found.inputs, tolerance)
    other = {
        name: jnp.where(near[name], jnp.where(side < 0, 1, -1).astype(side.dtype), side)
        for name, side in sides.items()
    }
    _, jvp = jax.jvp(
        lambda p: unit(opened.frozen(p, images, other)), (params,), (delta,)
    )
    return norms(jvp - found.dense.push(delta))
