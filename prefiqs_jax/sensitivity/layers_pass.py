"""The pass that layers' contributions along several directions share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.kernels import with_plain_kernels
from prefiqs_jax.sensitivity.direct import Point, Traced
from prefiqs_jax.sensitivity.embedding import norms
from prefiqs_jax.sensitivity.linearise import linearise
from prefiqs_jax.trees import map_named
from prefiqs_jax.types import ApplyFn, Images, Params

Contributions: TypeAlias = dict[str, Array]
"""Leaf name to what it adds to the first order of each image."""


def share_pass(
    apply_fn: ApplyFn,
    params: Params,
    images: Images,
    names: Collection[str],
    by_filter: bool,
) -> Callable[[Mapping[str, Array], Array | None], Contributions]:
    """Run the dense pass; gives ``(changes, direction or None) -> contributions``.

    Only leaves of ``names`` change. Images are apart under ``jax.vmap``; what the pass
    keeps of the weights alone must not be copied for each image: which that is, its
    program tells.
    """
    traced = Traced(apply_fn, params, images)
    if traced.has_while():
        if by_filter:
            message = (
                "the network has a loop of unknown length, within which filters cannot "
                "be told apart: leave by_filter out"
            )
            raise InputError(message)
        return partial(_one_by_one, apply_fn, params, images)
    image = jax.ShapeDtypeStruct(images.shape[1:], images.dtype)
    run = partial(traced.run, names=names, by_filter=by_filter)
    axes: list[dict[str, tuple[int, ...]]] = []

    def shapes_of(image: Array) -> list[Any]:
        _, points = run(image)
        axes.extend(points.axes)
        return [next(iter(point.values())) for point in points.points]

    # Added to results of operations, to learn what a change of them does. XLA leaves
    # additions of zeros out.
    added = [
        jnp.zeros(each.shape, each.dtype) for each in jax.eval_shape(shapes_of, image)
    ]

    def dense(image: Array) -> tuple[Array, Any, list[Any]]:
        def observe(added: list[Array]) -> tuple[Array, list[Any]]:
            z, points = run(image, added=added)
            return z, points.kept

        z, push, kept = jax.linearize(observe, added, has_aux=True)
        return z, push if added else None, kept

    program, shapes = jax.make_jaxpr(dense, return_shape=True)(image)
    structure = jax.tree.structure(shapes)
    of_image = [0 if each else None for each in _depends(program.jaxpr)]
    both = jax.vmap(core.jaxpr_as_fun(program), out_axes=of_image)
    found = both(jnp.asarray(images))

    def along(changes: Mapping[str, Array], direction: Array | None) -> Contributions:
        def one(image: Array, own: list[Any], along: Array | None) -> Contributions:
            z, push, kept = structure.unflatten(own)
            moving = {name: changes[name] for name in names}
            points = traced.changes(image, moving, kept, by_filter=by_filter)
            if along is None and points:
                along = unit_or_zero(push([sum(point.values()) for point in points]))
            # Within a loop over directions, as a rule.
            pull = with_plain_kernels(lambda u: jax.linear_transpose(push, added)(u)[0])
            bars = pull(along) if points else []
            shares = _shares(bars, points, axes, z.dtype, by_filter)
            still = jnp.zeros((1,) if by_filter else (), z.dtype)
            return {name: shares.get(name, still) for name in changes}

        taken = (0, of_image, None if direction is None else 0)
        return jax.vmap(one, in_axes=taken)(jnp.asarray(images), found, direction)

    return along


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
    apply_fn: ApplyFn,
    params: Params,
    images: Images,
    changes: Mapping[str, Array],
    direction: Array | None,
) -> Contributions:
    """Push every leaf's change alone: two forward passes each, in forward mode only."""
    lin = linearise(apply_fn, params, images)
    pushed = {
        changed: lin.push(
            map_named(
                lambda name, w, changed=changed: (
                    changes[name] if name == changed else jnp.zeros_like(w)
                ),
                params,
            )
        )
        for changed in changes
    }
    if direction is None:
        direction = unit_or_zero(sum(pushed.values(), jnp.zeros_like(lin.embedding)))
    return {name: jnp.sum(direction * each, axis=-1) for name, each in pushed.items()}
