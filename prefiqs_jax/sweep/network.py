"""A network as a sweep's program has it."""

from collections.abc import Callable
from typing import NamedTuple

from jax import Array

from prefiqs_jax.types import ApplyFn, Params


class Network(NamedTuple):
    """A network whose pruned leaves are the weights."""

    apply_fn: ApplyFn
    """``(params, images) -> raw embeddings``."""
    weights: list[Array]
    """The pruned leaves."""
    build: Callable[[list[Array]], Params]
    """``pruned leaves -> params``."""
    images: Array
    """Preprocessed, shape (batch, height, width, channels)."""
    reverse_fn: ApplyFn | None
    """A form that is faster to differentiate in reverse, if it has one."""

    def embed_raw(self, weights: list[Array], images: Array) -> Array:
        """Compute raw embeddings from the pruned leaves."""
        return self.apply_fn(self.build(weights), images)
