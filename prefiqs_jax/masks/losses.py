"""Losses of unit embeddings that need no labels."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

Loss: TypeAlias = Callable[[Array, Array], Array]
"""``(unit embeddings (batch, dim), their indices among the calibration images (batch,))
-> losses (batch,)``."""

TEMPERATURE = 0.1


def instance_discrimination(
    prototypes: Array, temperature: float = TEMPERATURE
) -> Loss:
    """Make the loss that stands in for the training's where images have no labels.

    Each calibration image is a class of its own, and its dense embedding the centre of
    that class: cross-entropy of the softmax over the similarities to all centres. That
    is what an ArcFace head does with people. A distance to the dense embedding alone
    would not do, for its gradient at the dense weights is zero.

    Parameters
    ----------
    prototypes
        Dense embeddings, unit rows, shape (images, dim).
    temperature
        By which similarities are divided.

    References
    ----------
    Wu et al. (2018). Unsupervised feature learning via non-parametric instance
    discrimination. CVPR. arXiv:1805.01978, Equation 2.
    """

    def loss(embeddings: Array, indices: Array) -> Array:
        logits = embeddings @ prototypes.T / temperature
        own = jnp.take_along_axis(logits, indices[:, None], axis=1)[:, 0]
        return jax.nn.logsumexp(logits, axis=1) - own

    return loss
