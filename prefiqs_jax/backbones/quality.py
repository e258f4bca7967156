"""CR-FIQA's quality head: one linear output beside the embedding.

It is trained with the network but is no part of the embedding, so no mask may prune it
and no sparsity may count it: its weights are kept with the running statistics.

References
----------
Boutros et al. (2023). CR-FIQA: Face image quality assessment by learning sample
relative classifiability. CVPR. arXiv:2112.06592.
"""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

KERNEL, BIAS = "statistics/qs/kernel", "statistics/qs/bias"


class Apart(nnx.Variable):
    """What a file holds and the embedding does not depend on."""


class QualityHead(nnx.Module):
    """A place for the head's weights, (embedding_dim, 1) and (1,)."""

    def __init__(self, embedding_dim: int):
        self.kernel = Apart(jnp.zeros((embedding_dim, 1), jnp.float32))
        self.bias = Apart(jnp.zeros((1,), jnp.float32))


def quality_head(tensors: Mapping[str, np.ndarray]) -> Callable[[Array], Array] | None:
    """Make the function from raw embeddings to CR-FIQA's quality; None without a head.

    It maps raw embeddings (batch, embedding_dim), which are not normalised, to
    (batch,): higher = better, unbounded. `tensors` are those of
    :func:`~prefiqs_jax.backbones.bind`.
    """
    if KERNEL not in tensors:
        return None
    kernel = np.array(tensors[KERNEL][:, 0])
    bias = np.array(tensors[BIAS][0])

    def quality(embeddings: Array) -> Array:
        weights = jnp.asarray(kernel, embeddings.dtype)
        return embeddings @ weights + jnp.asarray(bias, embeddings.dtype)

    return quality
