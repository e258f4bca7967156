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

from prefiqs_jax.execution.batches import ImageFunction
from prefiqs_jax.execution.precision import at_precision
from prefiqs_jax.execution.slices import in_slices
from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.keys import image_keys
from prefiqs_jax.quality.method import Method, Passes, need_taps
from prefiqs_jax.quality.scorer import Scorer, scorer
from prefiqs_jax.sensitivity import unit
from prefiqs_jax.types import ApplyFn

NAME = "serfiq"
SLOPE, CENTRE = 130.0, 0.88
LEVELS = 2**16
"""Probabilities are multiples of 1 / LEVELS: 32 random bits decide on two features."""


def mean_distances(
    trunk: ApplyFn,
    head: ApplyFn,
    *,
    passes: int = Draws.serfiq_passes,
    dropout: float = Draws.serfiq_dropout,
    seed: int = 0,
) -> ImageFunction:
    """Make the function that computes d̄, the mean distance of dropout embeddings.

    It maps (params, images, seeds) to distances (batch,), in [0, 2].

    The mean is over the T (T - 1) / 2 pairs, as in the authors' code; the paper's
    factor 2 / T² is smaller by 1 - 1/T, which would make the score depend on T.

    The authors run a network whose own dropout stays on (ArcFace's LResNet100E-IR,
    which drops 0.4 of the features in front of its dense layer; SFace, MagFace, AdaFace
    and CurricularFace have one at the same place) and repeat all of its layers. What is
    before the dropout is the same in each pass and runs once here. Completed: networks
    trained without dropout are given one at that place, in front of the dense layer
    that reads the whole feature map; all of them drop single features (MagFace's
    training dropped whole channels). A first version of the authors' code, since
    replaced, dropped half of the features and left the last BatchNorm out.

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
    """
    kept = round((1 - dropout) * LEVELS)

    def distances(params: Any, images: Array, seeds: Array) -> Array:
        features = trunk(params, images)
        keys = image_keys(seed, seeds)
        scaled = features * (LEVELS / kept)

        def embedding(number: Array) -> Array:
            keep = kept_features(keys, number, features.shape[1], kept)
            thinned = jnp.where(keep, scaled, jnp.zeros_like(scaled))
            return unit(head(params, thinned))

        embeddings = jax.lax.map(embedding, jnp.arange(passes, dtype=jnp.uint32))
        return jax.lax.map(mean_pairwise_distance, embeddings.transpose(1, 0, 2))

    return distances


def mean_pairwise_distance(rows: Array) -> Array:
    """Average the Euclidean distance over all pairs of different rows (count, dim).

    By differences: from products, distances near zero would be rounding errors.

    >>> mean_pairwise_distance(jnp.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]))
    Array(3.333..., dtype=...)
    """
    count = len(rows)
    squares = jnp.square(rows[:, None] - rows[None]).sum(-1)
    return jnp.sqrt(squares).sum() / (count * (count - 1))


def quality_of(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn mean distances into SER-FIQ's quality, in (0, 1).

    >>> float(quality_of(np.array([0.0]))[0]).__round__(4)  # all embeddings are equal
    1.0
    """
    robustness = 2 / (1 + np.exp(distance))
    return 1 / (1 + np.exp(-SLOPE * (robustness - CENTRE)))


def kept_features(keys: Array, number: Array | int, count: int, kept: int) -> Array:
    """Draw which features of each image stay in pass `number`, (batch, count).

    `keys` are those of the images, see `image_keys`; one stays with probability
    `kept` / LEVELS.
    """

    def draw(key: Array) -> Array:
        own = jax.random.fold_in(key, number)
        words = jax.random.bits(own, (-(-count // 2),), jnp.uint32)
        halves = jnp.stack([words & jnp.uint32(LEVELS - 1), words >> jnp.uint32(16)])
        return (halves < jnp.uint32(kept)).reshape(-1)[:count]

    return jax.vmap(draw)(keys)


def _make(passes: Passes, draws: Draws) -> Scorer:
    taps = passes.taps
    trunk, head = (
        at_precision(part, passes.precision) for part in (taps.trunk, taps.head)
    )
    drawn = draws.of(NAME)
    function = mean_distances(in_slices(trunk, passes.slice_size), head, **drawn)
    # The head is one product with large weights: the more images at once the better.
    run = passes.run(function, slices=False)
    return scorer(
        [NAME],
        lambda images, seeds: {NAME: quality_of(run(images, seeds))},
        serfiq=drawn,
    )


METHODS = (
    Method(
        NAME,
        "agreement of 100 embeddings with random dropout",
        "1 + 100 of the layers behind the dropout",
        "Terhörst et al. (2020). SER-FIQ. CVPR. arXiv:2003.09373",
        _make,
        lambda backbone, _: need_taps(NAME, backbone),
    ),
)
