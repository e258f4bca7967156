"""Derivatives of losses and embeddings, summed over calibration images in a stream.

Each function gives a tree like the parameters, on the host. Half floats are summed as
float32, in which their squares are not zero.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.masks.inputs import wide
from prefiqs_jax.masks.losses import Loss
from prefiqs_jax.sensitivity import embed
from prefiqs_jax.types import ApplyFn, Params

_Both: TypeAlias = tuple[Params, Params]


@dataclasses.dataclass(frozen=True)
class Stream:
    """A network, and images that go through it a batch at a time.

    Attributes
    ----------
    apply_fn
        Maps (params, images) to raw embeddings.
    images
        Shape (count, height, width, channels).
    batch_size
        Images at once.
    key
        Key of the random probes.
    probes
        How many are drawn, for each image or batch.
    """

    apply_fn: ApplyFn
    images: NDArray
    batch_size: int
    key: Array
    probes: int

    def batches(self) -> Iterator[tuple[NDArray, NDArray]]:
        """Yield indices, the last repeated to fill a batch, and their weights."""
        count, size = len(self.images), self.batch_size
        for start in range(0, count, size):
            indices = np.arange(start, start + size)
            yield np.minimum(indices, count - 1), (indices < count).astype(np.float32)

    def mean(self, step: Callable[..., Any], params: Params) -> Any:
        """Sum ``step(params, images, indices, weights)`` over batches; over the count.

        Padding of the last batch has weight 0.
        """
        compiled = jax.jit(step, compiler_options=compiler_options())
        total = None
        with highest():
            for indices, weights in self.batches():
                found = compiled(params, self.images[indices], indices, weights)
                total = found if total is None else jax.tree.map(jnp.add, total, found)
        count = len(self.images)
        return jax.tree.map(
            lambda leaf: np.asarray(leaf) / np.asarray(count, leaf.dtype), total
        )

    def probe_key(self, image: Array, probe: Array) -> Array:
        """Derive the key of one probe of one image."""
        return jax.random.fold_in(jax.random.fold_in(self.key, image), probe)


def highest() -> Any:
    """Take products in float32: TF32 would reorder scores between devices."""
    return jax.default_matmul_precision("highest")


def dense_embeddings(stream: Stream, params: Params) -> NDArray:
    """Compute the unit embeddings of all images, shape (count, dim)."""
    step = jax.jit(
        lambda p, x: embed(stream.apply_fn, p, x), compiler_options=compiler_options()
    )
    with highest():
        parts = [
            np.asarray(step(params, stream.images[indices]))[weights > 0]
            for indices, weights in stream.batches()
        ]
    return np.concatenate(parts)


def mean_gradient(stream: Stream, params: Params, loss: Loss) -> Params:
    """Compute the gradient of the mean loss."""

    def step(params: Params, x: Array, indices: Array, weights: Array) -> Params:
        return jax.grad(_weighted(stream, loss, x, indices, weights))(params)

    return stream.mean(step, params)


def gradient_moments(
    stream: Stream, params: Params, loss: Loss
) -> tuple[Params, Params]:
    """Compute mean square and mean absolute value of per-example gradients."""

    def step(params: Params, x: Array, indices: Array, weights: Array) -> _Both:
        def one(carry: _Both, each: tuple[Array, Array, Array]) -> tuple[_Both, None]:
            image, index, own = (value[None] for value in each)
            slope = jax.grad(_weighted(stream, loss, image, index, own))(params)
            slope = jax.tree.map(wide, slope)
            squares = jax.tree.map(lambda s, g: s + g**2, carry[0], slope)
            return (
                squares,
                jax.tree.map(lambda s, g: s + abs(g), carry[1], slope),
            ), None

        zeros = _zeros(params)
        return jax.lax.scan(one, (zeros, zeros), (x, indices, weights))[0]

    return stream.mean(step, params)


def jvp_norms(stream: Stream, params: Params) -> Params:
    """Compute ‖J_θ z(x; θ) e_k‖ of every weight k, root mean square over images.

    For a random sign vector ε, E (∂⟨ε, z⟩/∂θ_k)² is the squared norm (Hutchinson).
    """

    def step(params: Params, x: Array, indices: Array, weights: Array) -> Params:
        def one(carry: Params, each: tuple[Array, Array, Array]) -> tuple[Params, None]:
            image, index, own = each

            def projected(params: Params, key: Array) -> Array:
                z = embed(stream.apply_fn, params, image[None])[0]
                return jax.random.rademacher(key, z.shape, z.dtype) @ z

            def add(probe: Any, carry: Params) -> Params:
                slope = jax.grad(projected)(params, stream.probe_key(index, probe))
                slope = jax.tree.map(wide, slope)
                return jax.tree.map(
                    lambda c, g: c + own.astype(g.dtype) * g**2, carry, slope
                )

            return jax.lax.fori_loop(0, stream.probes, add, carry), None

        return jax.lax.scan(one, _zeros(params), (x, indices, weights))[0]

    squares = stream.mean(step, params)
    return jax.tree.map(lambda s: np.sqrt(s / stream.probes), squares)


def hessian_product(
    stream: Stream, params: Params, loss: Loss, direction: Params
) -> Params:
    """Compute the Hessian of the mean loss times a direction."""

    def step(params: Params, x: Array, indices: Array, weights: Array) -> Params:
        slope = jax.grad(_weighted(stream, loss, x, indices, weights))
        return jax.jvp(slope, (params,), (direction,))[1]

    return stream.mean(step, params)


def hessian_diagonal(stream: Stream, params: Params, loss: Loss) -> Params:
    """Estimate the diagonal of the mean loss's Hessian: E v ⊙ H v over random signs."""

    def step(params: Params, x: Array, indices: Array, weights: Array) -> Params:
        slope = jax.grad(_weighted(stream, loss, x, indices, weights))
        leaves, structure = jax.tree.flatten(params)

        def add(probe: Any, carry: Params) -> Params:
            keys = jax.random.split(stream.probe_key(indices[0], probe), len(leaves))
            signs = structure.unflatten(
                jax.random.rademacher(key, jnp.shape(w), jnp.result_type(w))
                for key, w in zip(keys, leaves, strict=True)
            )
            product = jax.jvp(slope, (params,), (signs,))[1]
            return jax.tree.map(
                lambda c, v, h: c + wide(v) * wide(h), carry, signs, product
            )

        return jax.lax.fori_loop(0, stream.probes, add, _zeros(params))

    diagonal = stream.mean(step, params)
    return jax.tree.map(lambda s: s / stream.probes, diagonal)


def _weighted(
    stream: Stream, loss: Loss, x: Array, indices: Array, weights: Array
) -> Callable[[Params], Array]:
    """Sum the losses of a batch with their weights."""

    def total(params: Params) -> Array:
        losses = loss(embed(stream.apply_fn, params, x), indices)
        return jnp.sum(losses * weights.astype(losses.dtype))

    return total


def _zeros(params: Params) -> Params:
    return jax.tree.map(lambda w: jnp.zeros_like(wide(jnp.asarray(w))), params)
