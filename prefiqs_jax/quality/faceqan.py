"""FaceQAN: how far adversarial noise moves the embedding, and how symmetric a face is.

k copies of an image get uniform noise in [-ε, ε] and are then moved l times by ε in the
direction of the sign of the gradient that takes their embeddings away from the image's
(the basic iterative method). With s the cosines of all k·l noisy embeddings that are
met on the way and s_f the cosine with the mirrored image, the quality is

    q = ( (1 + mean s) / 2 · clip(1 - std s, 0, 1) · s_f )^p,   p = 5.

References
----------
Babnik, Peer and Štruc (2022). FaceQAN: Face image quality assessment through
adversarial noise exploration. ICPR. arXiv:2212.02127.
Kurakin, Goodfellow and Bengio (2017). Adversarial examples in the physical world. ICLR
workshop. arXiv:1607.02533 (the basic iterative method).
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.backbones import Preprocessing
from prefiqs_jax.execution.batches import ImageFunction
from prefiqs_jax.execution.precision import at_precision
from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.keys import image_keys
from prefiqs_jax.quality.method import Method, Passes, need_gradients
from prefiqs_jax.quality.scorer import Scorer, scorer
from prefiqs_jax.sensitivity import embed
from prefiqs_jax.types import ApplyFn

NAME = "faceqan"
EXPONENT = 5


def similarities(
    apply_fn: ApplyFn,
    pixels: Preprocessing,
    *,
    samples: int = Draws.faceqan_samples,
    steps: int = Draws.faceqan_steps,
    epsilon: float = Draws.faceqan_epsilon,
    seed: int = 0,
) -> ImageFunction:
    """Make the function that computes the cosines that FaceQAN is made of.

    It maps (params, images, seeds) to cosines of shape (1 + k l, batch): that with the
    mirrored image, then those of the noisy ones.

    As in the authors' code the first of the l similarities is that of the uniform noise
    alone, so that there are l - 1 moves and as many gradients; and pixels are clipped
    to [-1, 1], although none of an image is below 0.

    Parameters
    ----------
    apply_fn
        ``(params, images) -> raw embeddings``.
    pixels
        How the network's input is scaled: the noise is one of images.
    samples, steps
        k copies of an image, l similarities of each.
    epsilon
        ε, of pixels in [0, 1].
    seed
        With the seed of the image it determines the noise.
    """
    size = 255 / pixels.std

    def cosines(params: Any, images: Array, seeds: Array) -> Array:
        keys = image_keys(seed, seeds)
        reach = jnp.asarray(epsilon * size, images.dtype)
        low, high = (
            jnp.asarray((value * 255 - pixels.mean) / pixels.std, images.dtype)
            for value in (-1, 1)
        )
        embedding = embed(apply_fn, params, images)
        mirrored = embed(apply_fn, params, images[:, :, ::-1])

        def similarity(noisy: Array) -> Array:
            return (embed(apply_fn, params, noisy) * embedding).sum(-1)

        def total(noisy: Array) -> tuple[Array, Array]:
            found = similarity(noisy)
            return found.sum(), found  # no image sees another

        def move(noisy: Array, _: None) -> tuple[Array, Array]:
            gradient, found = jax.grad(total, has_aux=True)(noisy)
            return jnp.clip(noisy - reach * jnp.sign(gradient), low, high), found

        def attack(number: Array) -> Array:
            noise = reach * uniform_noise(keys, number, images)
            start = jnp.clip(images + noise, low, high)
            last, found = jax.lax.scan(move, start, length=steps - 1)
            return jnp.concatenate([found, similarity(last)[None]])

        # One copy of every image at a time: all at once would take k times the memory.
        found = jax.lax.map(attack, jnp.arange(samples, dtype=jnp.uint32))
        symmetry = (embedding * mirrored).sum(-1)
        return jnp.concatenate([symmetry[None], found.reshape(-1, len(images))])

    return cosines


def uniform_noise(keys: Array, sample: Array | int, images: Array) -> Array:
    """Draw the noise of copy number `sample` of each image, uniform in [-1, 1).

    `keys` are those of the images, see `image_keys`; the noise is like `images`, shape
    (batch, height, width, channels).
    """

    def draw(key: Array) -> Array:
        own = jax.random.fold_in(key, sample)
        return jax.random.uniform(own, images.shape[1:], images.dtype, -1, 1)

    return jax.vmap(draw)(keys)


def quality_of(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn the cosines of :func:`similarities`, (1 + k l, n), into qualities (n,).

    The standard deviation is that of the numbers themselves (divided by their count).

    >>> quality_of(np.array([[1.0], [1.0], [1.0]]))  # nothing moves the embedding
    array([1.])
    """
    symmetry, noisy = cosines[0], cosines[1:]
    steady = np.clip(1 - noisy.std(0), 0, 1)
    return ((1 + noisy.mean(0)) / 2 * steady * symmetry) ** EXPONENT


def _make(passes: Passes, draws: Draws) -> Scorer:
    taps = passes.backbone.taps
    apply_fn = taps.apply_for_gradients if taps else passes.backbone.apply_fn
    drawn = draws.of(NAME)
    function = similarities(
        at_precision(apply_fn, passes.precision), passes.backbone.preprocessing, **drawn
    )
    run = passes.run(function)
    return scorer(
        [NAME],
        lambda images, seeds: {NAME: quality_of(run(images, seeds))},
        faceqan=drawn,
    )


METHODS = (
    Method(
        NAME,
        "robustness to adversarial noise, and symmetry",
        "52 + 40 backward",
        "Babnik, Peer and Štruc (2022). FaceQAN. ICPR. arXiv:2212.02127",
        _make,
        lambda _, precision: need_gradients(NAME, precision),
    ),
)
