"""GraFIQs: gradients of how far BatchNorm statistics of an image are off.

For each BatchNorm of feature maps (``BatchNorm2d``) the mean and the biased variance of
its input over the pixels of one image, per channel, are compared with the running mean
and variance of the training, while the network itself runs on the running statistics:

    L(x) = 1/B Σ_b [ mean_c (μ_bc(x) - μ̂_bc)² + mean_c (σ²_bc(x) - σ̂²_bc)² ]

The raw score is the sum of the absolute values of ∂L/∂φ, where φ is the preprocessed
image or the output of one of the four stages of the network. A good image needs no
change, so that the raw score is lower for better images; the quality is its negative.

References
----------
Kolf, Damer and Boutros (2024). GraFIQs: Face image quality assessment using gradient
magnitudes. CVPRW. arXiv:2404.12203.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.taps import Observed
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.batches import ImageFunction
from prefiqs_jax.execution.precision import Precision, at_precision
from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.method import (
    Method,
    Passes,
    need_gradients,
    need_taps,
    one_image,
)
from prefiqs_jax.quality.scorer import Scorer, scorer

NAME = "grafiqs"
OUTPUTS = ("image", "block1", "block2", "block3", "block4")
"""What the gradient is taken of."""


def statistics_loss(observed: Observed) -> Array:
    """Compute the mismatch L of BatchNorm statistics of each image, shape (batch,).

    It is the mean over BatchNorms, whatever their channels.

    >>> from prefiqs_jax.backbones.taps import NormInput
    >>> x = jnp.array([1.0, 3.0]).reshape(1, 2, 1, 1)  # mean 2, biased variance 1
    >>> norm = NormInput(x, mean=jnp.array([0.0]), var=jnp.array([4.0]))
    >>> statistics_loss(Observed(x, [norm], []))
    Array([13.], dtype=...)
    """
    losses = []
    for x, running_mean, running_var in observed.norms:
        mean = _over_pixels(x)
        # Squares about a centre are least about the mean: the derivative with respect
        # to it is zero, and need not be summed up over the pixels.
        centre = jax.lax.stop_gradient(mean)[:, None, None]
        var = _over_pixels(jnp.square(x - centre))
        off_mean = jnp.square(mean - running_mean[None]).mean(-1)
        losses.append(off_mean + jnp.square(var - running_var[None]).mean(-1))
    return jnp.stack(losses).mean(0)


def _over_pixels(x: Array) -> Array:
    """Average over height and then width: on a CPU twice as fast as over both."""
    return x.mean(1).mean(1)


def gradient_magnitudes(
    observe: Callable[[Any, Any, Sequence[Any]], Observed],
) -> ImageFunction:
    """Make the function that computes the raw scores of GraFIQs, lower = better.

    It maps (params, images, seeds), of which it does not use the seeds, to scores of
    shape (5, batch), in the order of :data:`OUTPUTS`; `observe` is that of
    :class:`prefiqs_jax.backbones.taps.Taps`.

    As published for iResNet, of which ``block1`` to ``block4`` are the outputs of
    ``layer1`` to ``layer4``. For other networks "block k" is completed here as the end
    of the k-th stage: the last feature map of a half, a quarter, an eighth and a
    sixteenth of the input's size, shortcuts added, before what leads to the embedding.
    The BatchNorm of the embedding itself (``BatchNorm1d``) does not count. The image is
    that which the network gets; its scaling divides all gradients by one constant.
    """

    def scores(params: Any, images: Array, seeds: Array) -> Array:
        del seeds
        seen = jax.eval_shape(lambda p, x: observe(p, x, ()), params, images)
        shifts = [jnp.zeros(stage.shape, stage.dtype) for stage in seen.stages]

        def total(images: Array, shifts: list[Array]) -> Array:
            # No image sees another, so the gradient of the sum is that of each.
            return statistics_loss(observe(params, images, shifts)).sum()

        image, blocks = jax.grad(total, argnums=(0, 1))(images, shifts)
        return jnp.stack([jnp.abs(g).sum((1, 2, 3)) for g in (image, *blocks)])

    return scores


def _check(backbone: Backbone, precision: Precision) -> None:
    """Raise InputError unless there are gradients, statistics and four stages."""
    need_gradients(NAME, precision)
    taps = need_taps(NAME, backbone)
    if backbone.provenance.folded:
        message = (
            f"grafiqs needs the BatchNorm statistics of the training, but whoever "
            f"exported {backbone.provenance.file} has folded them into the "
            "convolutions; use the original weights, or leave the method out"
        )
        raise InputError(message)
    seen = jax.eval_shape(
        lambda p, x: taps.observe(p, x, ()), backbone.params, one_image(backbone)
    )
    if not seen.norms or len(seen.stages) + 1 != len(OUTPUTS):
        message = (
            f"grafiqs needs BatchNorms of feature maps in four stages, which "
            f"{backbone.name} has not; leave the method out"
        )
        raise InputError(message)


def _make(passes: Passes, draws: Draws) -> Scorer:
    del draws
    observe: Any = passes.taps.observe
    whole: Any = at_precision(lambda p, both: observe(p, *both), passes.precision)
    run = passes.run(gradient_magnitudes(lambda p, x, s: whole(p, (x, s))))
    names = [f"{NAME}/{output}" for output in OUTPUTS]

    def compute(images: NDArray, seeds: NDArray) -> dict[str, NDArray]:
        return dict(zip(names, -run(images, seeds), strict=True))

    return scorer(names, compute)


METHODS = (
    Method(
        NAME,
        "minus the sum of absolute gradients of the mismatch of BatchNorm statistics, "
        "of the image and of the output of each of four stages",
        "1 + 1 backward",
        "Kolf, Damer and Boutros (2024). GraFIQs. CVPRW. arXiv:2404.12203",
        _make,
        _check,
    ),
)
