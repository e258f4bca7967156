"""A network in training: random weights, and statistics of the batch for BatchNorm."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.functional import Build, flatten
from prefiqs_jax.types import Params

Statistics = dict[Any, Any]


@dataclasses.dataclass(frozen=True)
class Trainable:
    """A network of random weights as two pure functions.

    Attributes
    ----------
    params, statistics
        Nested dicts of arrays at the start: what an optimiser moves, and running means
        and variances.
    train_fn
        ``(params, statistics, images) -> (raw embeddings, statistics)``. BatchNorm
        normalises by the batch and moves its running averages; the embedding of an
        image depends on its batch mates, as it must in training only.
    embed_fn
        ``(params, statistics, images) -> raw embeddings``, image by image, as a loaded
        backbone computes them.
    """

    params: Params
    statistics: Statistics
    train_fn: Callable[[Params, Statistics, Array], tuple[Array, Statistics]]
    embed_fn: Callable[[Params, Statistics, Array], Array]


def trainable(build: Build, seed: int) -> Trainable:
    """Make a network whose weights are drawn from a seed.

    Parameters
    ----------
    build
        Makes the Flax module, as in :class:`Architecture`.
    seed
        Seed of the initial weights.
    """
    module = build(nnx.Rngs(seed))
    evaluating, params, statistics = nnx.split(module, nnx.Param, ...)
    module.train()  # the mode is part of the graph, not of the arrays
    training = nnx.graphdef(module)

    def merge(graph: Any, params: Params, statistics: Statistics) -> Any:
        return nnx.merge(graph, nnx.State(params), nnx.State(statistics))

    def train_fn(
        params: Params, statistics: Statistics, images: Array
    ) -> tuple[Array, Statistics]:
        network = merge(training, params, statistics)
        raw = network(images)
        _, _, moved = nnx.split(network, nnx.Param, ...)
        return raw, nnx.to_pure_dict(moved)

    def embed_fn(params: Params, statistics: Statistics, images: Array) -> Array:
        return merge(evaluating, params, statistics)(images)

    return Trainable(
        nnx.to_pure_dict(params), nnx.to_pure_dict(statistics), train_fn, embed_fn
    )


def tensors_of(params: Params, statistics: Statistics) -> dict[str, np.ndarray]:
    """Name every tensor as :attr:`Blueprint.shapes` does, for a weights file."""
    both = {"params": params, "statistics": statistics}
    return {
        path: np.asarray(leaf) for path, leaf in flatten(jax.device_get(both)).items()
    }
