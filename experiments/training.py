"""A network in training: random weights, batch statistics, the file it becomes."""

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.functional import Build, flatten
from prefiqs_jax.backbones.reading import own_entries
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.types import Params
from prefiqs_jax.weights import mapping, store

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


def save_trained(
    destination: str | os.PathLike[str],
    name: str,
    tensors: Mapping[str, np.ndarray],
    about: Mapping[str, str],
) -> None:
    """Keep weights of one's own training in half the space, for `load_backbone`.

    Kernels are rounded to float16, which loading widens to float32 again; everything
    with one axis stays float32: it is 1 % of the file, and small variances would
    vanish in float16.

    Parameters
    ----------
    destination
        File to write, ending in ``.safetensors``; replaced in one step if it exists.
    name
        Architecture, as ``prefiqs backbones`` lists it.
    tensors
        Every path of the architecture's blueprint to its array.
    about
        Text to keep in the file: what trained it, with which seed.

    Raises
    ------
    InputError
        If the name is unknown or the file cannot be written.
    MappingError
        If a tensor is missing, of another shape, or not finite in float16.
    """
    found = architecture(name)
    with np.errstate(over="ignore"):  # named as not finite, below
        kept = {
            path: np.asarray(array, np.float16 if np.ndim(array) > 1 else np.float32)
            for path, array in tensors.items()
        }
    mapping.convert(kept, own_entries(found.blueprint))
    itself = {
        "backbone": found.name,
        "preprocessing": found.preprocessing.to_json(),
        "embedding_dim": str(found.embedding_dim),
    }
    store.save(destination, kept, {**about, **itself})
