"""SER-FIQ: how well embeddings of one image under random dropout agree.

T times the features that the last dropout gets are thinned out at random and taken
through the rest of the network. With d̄ the mean Euclidean distance over all pairs of
the T unit embeddings, robustness is 2 / (1 + exp(d̄)), and the quality a logistic of it:

    q = 1 / (1 + exp(-α (2 / (1 + exp(d̄)) - r))),   α = 130, r = 0.88

which changes no rank.

References
----------
Terhörst et al. (2020). SER-FIQ: Unsupervised estimation of face image quality based on
stochastic embedding robustness. CVPR. arXiv:2003.09373, Eq. 2.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.aliases import ApplyFn
from prefiqs_jax.quality.batches import ImageFunction
from prefiqs_jax.sensitivity import unit

PASSES = 100
DROPOUT = 0.5
SLOPE, CENTRE = 130.0, 0.88
LEVELS = 2**16
"""Probabilities are multiples of 1 / LEVELS: two masks of a bit to 32 random bits."""


def mean_distances(
    trunk: ApplyFn,
    head: ApplyFn,
    *,
    passes: int = PASSES,
    dropout: float = DROPOUT,
    seed: int = 0,
) -> ImageFunction:
    """Make the function that computes d̄, the mean distance of dropout embeddings.

    Parameters
    ----------
    trunk
        ``(params, images) -> features`` (batch, values), run once.
    head
        ``(params, features) -> raw embeddings`` (batch, dim), run ``passes`` times.
    passes
        T ≥ 2.
    dropout
        Probability in [0, 1) with which a feature is set to zero; the others are
        divided by 1 - dropout. Rounded to a multiple of 2⁻¹⁶.
    seed
        With the seed of the image it determines what is dropped.

    Returns
    -------
    callable
        ``(params, images, seeds) -> distances`` (batch,), in [0, 2].

    Notes
    -----
    The mean is over the T (T - 1) / 2 pairs, as in the authors' code; the paper's
    factor 2 / T² is smaller by 1 - 1/T, which would make the score depend on T.
    Their code thins out half of the features, whatever the dropout of the training
    was, and leaves the last BatchNorm out; here all layers behind the dropout run, as
    the paper has it. Networks trained without dropout are given one in front of the
    dense layer that reads the feature map, where the others have theirs.
    """
    kept = round((1 - dropout) * LEVELS)

    def distances(params: Any, images: Array, seeds: Array) -> Array:
        features = trunk(params, images)
        base = jax.random.key(seed)
        keys = jax.vmap(lambda own: jax.random.fold_in(base, own))(seeds)
        scaled = features * (LEVELS / kept)

        def embedding(number: Array) -> Array:
            own = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
            keep = jax.vmap(lambda key: _keep(key, features.shape[1], kept))(own)
            thinned = jnp.where(keep, scaled, jnp.zeros_like(scaled))
            return unit(head(params, thinned))

        embeddings = jax.lax.map(embedding, jnp.arange(passes, dtype=jnp.uint32))
        return jax.lax.map(mean_pairwise_distance, embeddings.transpose(1, 0, 2))

    return distances


def mean_pairwise_distance(rows: Array) -> Array:
    """Average the Euclidean distance over all pairs of two different rows.

    By differences: from products, distances near zero would be rounding errors.

    Parameters
    ----------
    rows
        Shape (count ≥ 2, dim).

    Examples
    --------
    >>> mean_pairwise_distance(jnp.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]))
    Array(3.333..., dtype=...)
    """
    count = len(rows)
    squares = jnp.square(rows[:, None] - rows[None]).sum(-1)
    return jnp.sqrt(squares).sum() / (count * (count - 1))


def quality_of(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn mean distances into SER-FIQ's quality, in (0, 1).

    Examples
    --------
    >>> float(quality_of(np.array([0.0]))[0]).__round__(4)  # all embeddings are equal
    1.0
    """
    robustness = 2 / (1 + np.exp(distance))
    return 1 / (1 + np.exp(-SLOPE * (robustness - CENTRE)))


def _keep(key: Array, count: int, kept: int) -> Array:
    """Draw which of ``count`` features stay, with probability kept / LEVELS."""
    words = jax.random.bits(key, (-(-count // 2),), jnp.uint32)
    halves = jnp.stack([words & jnp.uint32(LEVELS - 1), words >> jnp.uint32(16)])
    return (halves < jnp.uint32(kept)).reshape(-1)[:count]
