"""The pass that layers' contributions along several directions share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.kernels import with_plain_kernels
from prefiqs_jax.sensitivity.direct import Point, Traced
from prefiqs_jax.sensitivity.embedding import norms
from prefiqs_jax.sensitivity.linearise import check_delta, linearise
from prefiqs_jax.trees import map_named, named_leaves
from prefiqs_jax.types import ApplyFn, Delta, Images, Params

Contributions: TypeAlias = dict[str, Array]
"""Leaf name to what it adds to the first order of each image."""


class LinearisedLayers(NamedTuple):
    """The unit embedding of some images, linearised to tell layers apart."""

    embedding: Array
    """Unit rows z(x; θ), shape (batch, dim)."""
    norm: Array
    """‖f(x; θ)‖ before normalisation, shape (batch,)."""
    push: Callable[[Delta], tuple[Array, Contributions]]
    """``delta -> (J δ, contributions)``, along u = Jδ / ‖Jδ‖: one pass for the products
    with δ, one that pushes their sum on, and a reverse one."""
    along: Callable[[Delta, Array], Contributions]
    """``(delta, u) -> contributions``, as of :func:`contributions_given`: one pass for
    the products with δ and a reverse one."""


def share_pass(
    apply_fn: ApplyFn,
    params: Params,
    images: Images,
    names: Collection[str],
    moving: Collection[str],
    by_filter: bool,
) -> LinearisedLayers:
    """Run the dense pass.

    Contributions are of the leaves ``names``, of which only ``moving`` change. Images
    are apart under ``jax.vmap``; what the pass keeps of the weights alone must not be
    copied for each image: which that is, its program tells.
    """
    traced = Traced(apply_fn, params, images)
    if traced.has_while():
        if by_filter:
            message = (
                "the network has a loop of unknown length, within which filters cannot "
                "be told apart: leave by_filter out"
            )
            raise InputError(message)
        return _one_by_one(apply_fn, params, images, names)
    images = jnp.asarray(images)
    run = partial(traced.run, names=moving, by_filter=by_filter)
    axes: list[dict[str, tuple[int, ...]]] = []

    def shapes_of(image: Array) -> list[Any]:
        found = run(image)
        axes.extend(found.axes)
        return [next(iter(point.values())) for point in found.points]

    # Added to results of operations, to learn what a change of them does. XLA leaves
    # additions of zeros out.
    image = jax.ShapeDtypeStruct(images.shape[1:], images.dtype)
    added = [
        jnp.zeros(each.shape, each.dtype) for each in jax.eval_shape(shapes_of, image)
    ]

    def dense(image: Array) -> tuple[Array, Array, Any, list[Any]]:
        def observe(added: list[Array]) -> tuple[Array, tuple[Array, list[Any]]]:
            found = run(image, added=added)
            return found.embedding, (found.norm, found.kept)

        z, push, (norm, kept) = jax.linearize(observe, added, has_aux=True)
        return z, norm, push if added else None, kept

    program, shapes = jax.make_jaxpr(dense, return_shape=True)(image)
    structure = jax.tree.structure(shapes)
    of_image = [0 if each else None for each in _depends(program.jaxpr)]
    both = jax.vmap(core.jaxpr_as_fun(program), out_axes=of_image)
    found = both(images)
    # An embedding that knows no image is that of all.
    z, norm = jax.vmap(
        lambda _, own: structure.unflatten(own)[:2], in_axes=(0, of_image)
    )(images, found)

    def changed(delta: Delta, image: Array, own: list[Any]) -> list[Point]:
        check_delta(params, delta)
        changes = {name: d for name, d in named_leaves(delta) if name in moving}
        kept = structure.unflatten(own)[-1]
        return traced.changes(image, changes, kept, by_filter=by_filter)

    def split(points: list[Point], own: list[Any], u: Array) -> Contributions:
        push = structure.unflatten(own)[2]
        # Within a loop over directions, as a rule.
        pull = with_plain_kernels(lambda u: jax.linear_transpose(push, added)(u)[0])
        bars = pull(u) if points else []
        shares = _shares(bars, points, axes, z.dtype, by_filter)
        still = jnp.zeros((1,) if by_filter else (), z.dtype)
        return {name: shares.get(name, still) for name in names}

    def push(delta: Delta) -> tuple[Array, Contributions]:
        def one(image: Array, own: list[Any]) -> tuple[Array, Contributions]:
            points = changed(delta, image, own)
            z, _, push, _ = structure.unflatten(own)
            moved = [sum(point.values()) for point in points]
            jvp = push(moved) if points else jnp.zeros_like(z)
            return jvp, split(points, own, unit_or_zero(jvp))

        return jax.vmap(one, in_axes=(0, of_image))(images, found)

    def along(delta: Delta, direction: Array) -> Contributions:
        def one(image: Array, own: list[Any], u: Array) -> Contributions:
            return split(changed(delta, image, own), own, u)

        return jax.vmap(one, in_axes=(0, of_image, 0))(images, found, direction)

    return LinearisedLayers(z, norm, push, along)


def _shares(
    bars: Sequence[Array],
    points: Sequence[Point],
    axes: Sequence[Mapping[str, tuple[int, ...]]],
    dtype: Any,
    by_filter: bool,
) -> Contributions:
    """Sum up what the leaves add at each point, of one image."""
    found: Contributions = {}
    for bar, point, own in zip(bars, points, axes, strict=True):
        for name, change in point.items():
            rest = tuple(i for i in range(bar.ndim) if i not in own[name])
            share = jnp.sum(bar * change, axis=rest).astype(dtype)
            share = share.ravel() if by_filter else share
            if name in found and found[name].shape != share.shape:
                message = (
                    f"{name} goes into operations of {found[name].size} and of "
                    f"{share.size} outputs, which do not add: leave by_filter out"
                )
                raise InputError(message)
            found[name] = found[name] + share if name in found else share
    return found


def _depends(jaxpr: Any) -> list[bool]:
    """Tell which results of a program depend on its arguments."""
    known = set(jaxpr.invars)

    def is_known(atom: Any) -> bool:
        return not isinstance(atom, core.Literal) and atom in known

    for equation in jaxpr.eqns:
        if any(map(is_known, equation.invars)):
            known.update(equation.outvars)
    return list(map(is_known, jaxpr.outvars))


def unit_or_zero(jvp: Array) -> Array:
    """Give u = Jδ / ‖Jδ‖, but 0 for 0: what does not move is split into zeros."""
    size = norms(jvp)[..., None]
    return jvp / jnp.where(size == 0, jnp.ones_like(size), size)


def _one_by_one(
    apply_fn: ApplyFn, params: Params, images: Images, names: Collection[str]
) -> LinearisedLayers:
    """Push every leaf's change alone: two forward passes each, in forward mode only."""
    lin = linearise(apply_fn, params, images)

    def pushed(delta: Delta) -> Contributions:
        check_delta(params, delta)
        return {
            name: lin.push(
                map_named(
                    lambda other, d, name=name: (
                        d if other == name else jnp.zeros_like(d)
                    ),
                    delta,
                )
            )
            for name in names
        }

    def split(each: Contributions, u: Array) -> Contributions:
        return {name: jnp.sum(u * jvp, axis=-1) for name, jvp in each.items()}

    def push(delta: Delta) -> tuple[Array, Contributions]:
        each = pushed(delta)
        jvp = sum(each.values(), jnp.zeros_like(lin.embedding))
        return jvp, split(each, unit_or_zero(jvp))

    def along(delta: Delta, direction: Array) -> Contributions:
        return split(pushed(delta), direction)

    return LinearisedLayers(lin.embedding, lin.norm, push, along)
