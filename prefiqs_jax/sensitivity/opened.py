"""A network opened at its kinks: their inputs, and itself with their sides frozen."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from prefiqs_jax.execution.jaxprs import interpret
from prefiqs_jax.sensitivity.sites import (
    Note,
    Reader,
    Site,
    compared,
    find_images,
    leaf_notes,
    name_apart,
)
from prefiqs_jax.types import ApplyFn, Images, Params


@dataclasses.dataclass(frozen=True)
class Opened:
    """A network opened at its kinks, for weights and images of one form."""

    names: tuple[str, ...]
    """Of the kinks, in the order of the program; none for a smooth network."""
    observe: Callable[[Params, Any], tuple[Array, dict[str, Array]]]
    """``(params, images) -> (raw embeddings, {name: inputs})``, inputs of shape
    (batch, …), in one pass."""
    frozen: Callable[[Params, Any, Mapping[str, Array]], Array]
    """``(params, images, sides) -> raw embeddings`` on those sides of all kinks."""

    def of(self, build: Callable[[Any], Params]) -> "Opened":
        """Take other weights: those from which ``build`` makes the parameters."""
        return Opened(
            self.names,
            lambda weights, images: self.observe(build(weights), images),
            lambda weights, images, sides: self.frozen(build(weights), images, sides),
        )


def open_kinks(apply_fn: ApplyFn, params: Params, images: Images) -> Opened:
    """Trace a network for weights and images of this form, and find its kinks.

    Nothing is computed. Only calls that hold kinks are taken apart; others keep their
    checkpoints and rules of derivatives. (A rule that is not the derivative of what it
    belongs to, as that of a straight-through estimator, is lost.) What reaches the
    embeddings by ``stop_gradient`` alone, as the maximum that softmax subtracts, is not
    looked at.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings, shape (batch, dim), image by image.
    params
        Weights θ; their names name the kinks.
    images
        Preprocessed images, shape (batch, height, width, channels).

    Returns
    -------
    Opened
        Pure functions of weights and images of the same shapes and types.

    Raises
    ------
    InputError
        If the network holds what is not smooth and cannot be frozen on one of two
        sides, such as ``reduce_max``, a sort or a kink inside a loop; or images do not
        have an axis of an activation to themselves.
    """
    leaves, structure = jax.tree.flatten(params)

    def read(count: int) -> tuple[Any, Reader]:
        # A new function each time: of a known one JAX would give the program that it
        # remembers, although what the function closes over has changed.
        program = jax.make_jaxpr(
            lambda *every: apply_fn(structure.unflatten(every[:-1]), every[-1])
        )(*leaves, jax.ShapeDtypeStruct((count, *images.shape[1:]), images.dtype))
        reader = Reader()
        reader.read(program, [*leaf_notes(params), Note(images=True)])
        return program, reader

    batch = len(images)
    program, reader = read(batch)
    kinks = reader.kinks
    if not kinks:
        smooth = (lambda p, x: (apply_fn(p, x), {})), lambda p, x, _: apply_fn(p, x)
        return Opened((), *smooth)
    if batch > 1:
        find_images(reader, read(2 * batch)[1], batch)
    name_apart(kinks)

    def run(weights: Params, images: Any, at: Callable[..., Any]) -> Array:
        """Interpret the program, with `at(name, site, values, run)` at its kinks."""
        sites, answers = iter(reader.sites), iter(reader.opened)

        def rule(
            equation: Any, values: list[Any], notes: list[Any], run: Any
        ) -> tuple[list[Any], list[Any]]:
            del notes
            site = next(sites)
            name = equation.primitive.name
            out = run(values) if site is None else [at(name, site, values, run)]
            return out, [None] * len(out)

        values = [*jax.tree.leaves(weights), images]
        (raw,), _ = interpret(
            program,
            values,
            [None] * len(values),
            rule,
            opens=lambda *_: next(answers),
        )
        return raw

    def observe(weights: Params, images: Any) -> tuple[Array, dict[str, Array]]:
        found: dict[str, Array] = {}

        def at(name: str, site: Site, values: list[Any], run: Any) -> Array:
            for kink, value in zip(
                site.kinks, _inputs(name, site, values), strict=True
            ):
                found.setdefault(kink.name, kink.by_image(value, batch))
            if site.ruled and name in ("max", "min"):
                # jax.nn.relu has the derivative 0 at 0, where max has a half.
                x, limit = values[::-1] if site.turned else values
                beyond = x <= limit if name == "max" else x >= limit
                return jnp.where(beyond, limit, x)
            return run(values)[0]

        return run(weights, images, at), found

    def frozen(weights: Params, images: Any, sides: Mapping[str, Array]) -> Array:
        def at(name: str, site: Site, values: list[Any], run: Any) -> Array:
            del run
            own = [kink.as_computed(sides[kink.name]) for kink in site.kinks]
            return _on_sides(name, site, values, own)

        return run(weights, images, at)

    return Opened(tuple(kink.name for kink in kinks), observe, frozen)


def sides_of(inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Tell on which side of each kink its inputs are: 1, -1 or, on the kink, 0."""
    return {
        name: (value > 0).astype(jnp.int8) - (value < 0).astype(jnp.int8)
        for name, value in inputs.items()
    }


def _inputs(name: str, site: Site, values: Sequence[Any]) -> list[Array]:
    """Compute the inputs of an equation's kinks."""
    found = []
    for one, other in compared(name):
        x, threshold = values[one], 0 if other is None else values[other]
        if site.turned:
            x, threshold = threshold, x
        zero = not isinstance(threshold, Array) and threshold == 0
        found.append(x if zero else x - threshold)
    return found


def _on_sides(
    name: str, site: Site, values: Sequence[Any], sides: Sequence[Array]
) -> Array:
    """Compute an equation on given sides, with the derivative it has there."""
    side = sides[0]
    if name == "sign":
        return side.astype(values[0].dtype)
    if name == "abs":  # its derivative at 0 is 1
        return jnp.where(side >= 0, values[0], -values[0])
    if name == "clamp":
        low, x, high = values
        return jnp.where(
            (side > 0) & (sides[1] < 0), x, jnp.where(side <= 0, low, high)
        )
    first, second = values
    if site.turned:
        side = -side
    if name in ("gt", "ge", "lt", "le"):
        return getattr(jnp, _COMPARE[name])(side, 0)
    if name == "min":
        side = -side
    equal = (first + second) / 2
    if site.ruled:
        equal = first if site.turned else second
    return jnp.where(side > 0, first, jnp.where(side < 0, second, equal))


_COMPARE = {"gt": "greater", "ge": "greater_equal", "lt": "less", "le": "less_equal"}
