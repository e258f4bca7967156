"""Derivatives of losses and embeddings, summed over calibration images in a stream.

Each function gives a tree like the parameters, on the host. Half floats are summed as
float32, in which their squares are not zero.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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


class Batch(NamedTuple):
    """Some of the images."""

    images: Any
    """Shape (size, height, width, channels)."""
    indices: Any
    """Which they are."""
    weights: Any
    """1, or 0 for those that only fill the batch."""
    probe: Any
    """Index of the random probe."""


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

    def batches(self) -> Iterator[Batch]:
        """Yield all images, the last repeated to fill a batch, for one probe."""
        count, size = len(self.images), self.batch_size
        for start in range(0, count, size):
            indices = np.arange(start, start + size)
            weights = (indices < count).astype(np.float32)
            indices = np.minimum(indices, count - 1)
            yield Batch(self.images[indices], indices, weights, np.int32(0))

    def mean(
        self, step: Callable[[Params, Batch], Any], params: Params, probes: int = 1
    ) -> Any:
        """Sum ``step(params, batch)`` over batches and probes; over the images' count.

        Padding of the last batch has weight 0.
        """

        def add(total: Any, params: Params, batch: Batch) -> Any:
            return jax.tree.map(jnp.add, total, step(params, batch))

        # A loop of the host: XLA takes four times as long within one of its own.
        options = compiler_options()
        compiled = jax.jit(add, donate_argnums=0, compiler_options=options)
        total: Any = None
        with highest():
            for probe in range(probes):
                for batch in self.batches():
                    each = batch._replace(probe=np.int32(probe))
                    if total is None:
                        shapes = jax.eval_shape(step, params, each)
                        total = jax.tree.map(
                            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes
                        )
                    total = compiled(total, params, each)
        count = len(self.images)
        return jax.tree.map(
            lambda leaf: np.asarray(leaf) / np.asarray(count, leaf.dtype), total
        )

    def probe_key(self, image: Any, probe: Any) -> Array:
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
            np.asarray(step(params, batch.images))[batch.weights > 0]
            for batch in stream.batches()
        ]
    return np.concatenate(parts)


def mean_gradient(stream: Stream, params: Params, loss: Loss) -> Params:
    """Compute the gradient of the mean loss."""
    if jax.default_backend() == "cpu":
        # There XLA's gradients by filters take half as long image by image.
        stream = dataclasses.replace(stream, batch_size=1)
    return stream.mean(
        lambda params, batch: jax.grad(_weighted(stream, loss, batch))(params), params
    )


def gradient_moments(
    stream: Stream, params: Params, loss: Loss
) -> tuple[Params, Params]:
    """Compute mean square and mean absolute value of per-example gradients."""

    def step(params: Params, batch: Batch) -> tuple[Params, Params]:
        slope = jax.tree.map(wide, jax.grad(_weighted(stream, loss, batch))(params))
        return jax.tree.map(jnp.square, slope), jax.tree.map(jnp.abs, slope)

    return dataclasses.replace(stream, batch_size=1).mean(step, params)


def jvp_norms(stream: Stream, params: Params) -> Params:
    """Compute ‖J_θ z(x; θ) e_k‖ of every weight k, root mean square over images.

    For a random sign vector ε, E (∂⟨ε, z⟩/∂θ_k)² is the squared norm (Hutchinson).
    """

    def step(params: Params, batch: Batch) -> Params:
        def projected(params: Params) -> Array:
            z = embed(stream.apply_fn, params, batch.images)[0]
            key = stream.probe_key(batch.indices[0], batch.probe)
            return jax.random.rademacher(key, z.shape, z.dtype) @ z

        return jax.tree.map(lambda g: jnp.square(wide(g)), jax.grad(projected)(params))

    each = dataclasses.replace(stream, batch_size=1)
    squares = each.mean(step, params, stream.probes)
    return jax.tree.map(lambda s: np.sqrt(s / stream.probes), squares)


def hessian_product(
    stream: Stream, params: Params, loss: Loss, direction: Params
) -> Params:
    """Compute the Hessian of the mean loss times a direction."""

    def step(params: Params, batch: Batch) -> Params:
        slope = jax.grad(_weighted(stream, loss, batch))
        return jax.jvp(slope, (params,), (direction,))[1]

    return stream.mean(step, params)


def hessian_diagonal(stream: Stream, params: Params, loss: Loss) -> Params:
    """Estimate the diagonal of the mean loss's Hessian: E v ⊙ H v over random signs."""

    def step(params: Params, batch: Batch) -> Params:
        leaves, structure = jax.tree.flatten(params)
        key = stream.probe_key(batch.indices[0], batch.probe)
        signs = structure.unflatten(
            jax.random.rademacher(key, jnp.shape(w), jnp.result_type(w))
            for key, w in zip(jax.random.split(key, len(leaves)), leaves, strict=True)
        )
        slope = jax.grad(_weighted(stream, loss, batch))
        product = jax.jvp(slope, (params,), (signs,))[1]
        return jax.tree.map(lambda v, h: wide(v) * wide(h), signs, product)

    diagonal = stream.mean(step, params, stream.probes)
    return jax.tree.map(lambda s: s / stream.probes, diagonal)


def _weighted(stream: Stream, loss: Loss, batch: Batch) -> Callable[[Params], Array]:
    """Sum the losses of a batch with their weights."""

    def total(params: Params) -> Array:
        losses = loss(embed(stream.apply_fn, params, batch.images), batch.indices)
        return jnp.sum(losses * batch.weights.astype(losses.dtype))

    return total
