"""ArcFace: the loss of a network that tells people apart, and one step of training.

References
----------
Deng et al. (2019). ArcFace: Additive angular margin loss for deep face recognition.
CVPR. arXiv:1801.07698, equation 3.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Int, UInt8
from training import Trainable

from prefiqs_jax.backbones.preprocessing import Preprocessing

# Below this squared sine (an angle of 0.001) float32 has lost the angle in 1 - cos²,
# and the root would have a derivative without bound.
SMALLEST_SINE_SQUARED = 1e-6


class State(NamedTuple):
    """Everything that a step of training changes.

    Attributes
    ----------
    params
        ``network``, and ``centres`` of shape (people, dim), one direction a person.
    statistics
        Running averages of BatchNorm.
    optimiser
        As optax keeps it.
    step
        Shape (): steps taken.
    """

    params: dict[str, Any]
    statistics: dict[Any, Any]
    optimiser: optax.OptState
    step: Array


class Progress(NamedTuple):
    """What a step tells of itself: means over its batch, shape ()."""

    loss: Array
    correct: Array
    """Share of images whose nearest centre is their own person's, margin left out."""


def margin_logits(
    raw: Float[Array, "batch dim"],
    centres: Float[Array, "people dim"],
    labels: Int[Array, " batch"],
    *,
    scale: float | Array,
    margin: float | Array,
) -> tuple[Float[Array, "batch people"], Float[Array, "batch people"]]:
    """Compute scaled cosines with a margin added to the angle to one's own centre.

    logit = scale · cos(θ + margin) for the own person, scale · cos θ for the others

    Beyond θ = π - margin, where cos(θ + margin) would rise again, the own logit goes on
    as scale · (cos θ - margin · sin margin), as in the authors' code: it keeps falling.

    Parameters
    ----------
    raw
        Embeddings of any norm but zero.
    centres
        One direction for every person, of any norm but zero.
    labels
        Who is on each image, 0 to people - 1.
    scale, margin
        Factor on the cosines, and radians in [0, π / 2].

    Returns
    -------
    logits, cosines
        With margin and scale, and without either.
    """
    cosines = unit_rows(raw) @ unit_rows(centres).T
    own = jnp.take_along_axis(cosines, labels[:, None], axis=1)
    sine = jnp.sqrt(jnp.maximum(1 - own**2, SMALLEST_SINE_SQUARED))
    turned = own * jnp.cos(margin) - sine * jnp.sin(margin)
    beyond = own - margin * jnp.sin(margin)
    moved = jnp.where(own > -jnp.cos(margin), turned, beyond)
    is_own = labels[:, None] == jnp.arange(len(centres), dtype=labels.dtype)[None]
    return scale * jnp.where(is_own, moved, cosines), cosines


def unit_rows(rows: Float[Array, "rows dim"]) -> Float[Array, "rows dim"]:
    """Divide each row by its norm."""
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)


def arcface_loss(
    raw: Float[Array, "batch dim"],
    centres: Float[Array, "people dim"],
    labels: Int[Array, " batch"],
    *,
    scale: float | Array,
    margin: float | Array,
) -> tuple[Array, Progress]:
    """Average the cross-entropy of `margin_logits` over a batch.

    Parameters
    ----------
    raw, centres, labels, scale, margin
        As for `margin_logits`.

    Returns
    -------
    loss, progress
        The loss, to derive, and the same with the training accuracy.
    """
    logits, cosines = margin_logits(raw, centres, labels, scale=scale, margin=margin)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    loss = jnp.mean(losses)
    correct = jnp.mean(jnp.argmax(cosines, axis=1) == labels, dtype=loss.dtype)
    return loss, Progress(loss, correct)


def augment(
    key: Array,
    pictures: UInt8[Array, "batch height width 3"],
    preprocessing: Preprocessing,
    *,
    shift_px: int,
    contrast: float,
) -> Float[Array, "batch height width 3"]:
    """Move images by whole pixels, change light and contrast, scale for the network.

    No image is mirrored: moles and partings belong to one side of a person.

    Parameters
    ----------
    key
        Random key; each image draws its own part of it.
    pictures
        RGB, as is the network's input.
    preprocessing
        Mean and standard deviation of the network's pixels.
    shift_px
        Largest shift, along either axis; edges are repeated.
    contrast
        Largest change of the contrast factor from 1; the brightness moves by up to the
        same share of the network's range.
    """
    keys = jax.random.split(key, 3)
    count, height, width, _ = pictures.shape
    corners = jax.random.randint(keys[0], (count, 2), 0, 2 * shift_px + 1)
    edges = ((0, 0), (shift_px, shift_px), (shift_px, shift_px), (0, 0))
    padded = jnp.pad(pictures, edges, mode="edge")

    def cut(picture: Array, corner: Array) -> Array:
        start = (corner[0], corner[1], 0)
        return jax.lax.dynamic_slice(picture, start, (height, width, 3))

    images = jax.vmap(cut)(padded, corners).astype(jnp.float32)
    images = (images - preprocessing.mean) / preprocessing.std
    spread, shape = (1 - contrast, 1 + contrast), (count, 1, 1, 1)
    factor = jax.random.uniform(keys[1], shape, jnp.float32, *spread)
    offset = jax.random.uniform(keys[2], shape, jnp.float32, -contrast, contrast)
    return images * factor + offset


def adamw(
    *,
    steps: int,
    warm_up: int,
    peak_rate: float,
    weight_decay: float,
    conv_decay: float,
) -> optax.GradientTransformation:
    """Make AdamW with a linear warm-up and a cosine down to zero.

    Dense layers and convolutions decay, each at their own rate; biases, BatchNorm and
    PReLU do not. Dense weights that decay fast are the small ones of the network, so a
    global magnitude mask takes them first. Pruned convolutions of few channels answer
    to the mere brightness of an image, which says nothing about its quality.
    """

    def with_axes(count: int) -> Callable[[Any], Any]:
        return lambda params: jax.tree.map(lambda leaf: leaf.ndim == count, params)

    rate = optax.warmup_cosine_decay_schedule(0.0, peak_rate, warm_up, steps, 0.0)
    return optax.chain(
        optax.scale_by_adam(),
        optax.add_decayed_weights(weight_decay, with_axes(2)),
        optax.add_decayed_weights(conv_decay, with_axes(4)),
        optax.scale_by_learning_rate(rate),
    )


def initial_state(
    network: Trainable,
    optimiser: optax.GradientTransformation,
    key: Array,
    *,
    people: int,
    embedding_dim: int,
) -> State:
    """Draw the centres, and begin. The state is a copy: steps may overwrite it."""
    centres = jax.random.normal(key, (people, embedding_dim), jnp.float32)
    params = {"network": network.params, "centres": unit_rows(centres)}
    begun = State(
        params,
        network.statistics,
        optimiser.init(params),
        jnp.zeros((), jnp.int32),
    )
    return jax.tree.map(jnp.array, begun)


def make_step(
    network: Trainable,
    optimiser: optax.GradientTransformation,
    *,
    preprocessing: Preprocessing,
    scale: float,
    margin: float,
    margin_warm_up: int,
    shift_px: int,
    contrast: float,
) -> Callable[[State, Array, Array, Array], tuple[State, Progress]]:
    """Compile ``(state, key, images, labels) -> (state, progress)``.

    The state that goes in is given up: its memory holds the one that comes out. The
    margin grows linearly from 0 over the first ``margin_warm_up`` steps, since a small
    network with the whole margin from the start may never leave chance.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def step(
        state: State, key: Array, pictures: Array, labels: Array
    ) -> tuple[State, Progress]:
        images = augment(
            jax.random.fold_in(key, state.step),
            pictures,
            preprocessing,
            shift_px=shift_px,
            contrast=contrast,
        )
        grown = jnp.minimum((state.step + 1) / max(margin_warm_up, 1), 1)

        def loss_fn(params: dict[str, Any]) -> tuple[Array, tuple]:
            raw, statistics = network.train_fn(
                params["network"], state.statistics, images
            )
            loss, progress = arcface_loss(
                raw,
                params["centres"],
                labels,
                scale=scale,
                margin=(margin * grown).astype(jnp.float32),
            )
            return loss, (progress, statistics)

        found = jax.grad(loss_fn, has_aux=True)(state.params)
        gradient, (progress, statistics) = found
        updates, kept = optimiser.update(gradient, state.optimiser, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        return State(params, statistics, kept, state.step + 1), progress

    return step
