"""From the names of methods to scorers that share what can be shared."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.backbones.taps import Taps
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.batches import ImageFunction, Run, in_batches, sliced
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision, at_precision
from prefiqs_jax.execution.slices import default_slice, in_slices, network_intensity
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.allocation import check_sparsity
from prefiqs_jax.masks.named import NamedMask, as_named
from prefiqs_jax.masks.packed import PackedMasks, pack_masks
from prefiqs_jax.quality import faceqan, grafiqs, serfiq
from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.first_order import both_scorer, first_order_scorer
from prefiqs_jax.quality.fit import check_fit
from prefiqs_jax.quality.forwards import forward_scorer
from prefiqs_jax.quality.methods import (
    CRFIQA,
    FACEQAN,
    FIRST_ORDER,
    GRAFIQS,
    NORM,
    PREFIQS,
    RANDOM,
    SERFIQ,
    check_methods,
)
from prefiqs_jax.quality.random import random_quality
from prefiqs_jax.quality.scorer import Scorer, scorer
from prefiqs_jax.types import MaskFn

DEFAULT_SPARSITY = 0.4
"""Best of the paper's ablation, for unstructured magnitude masks."""


@dataclasses.dataclass(frozen=True)
class Passes:
    """How functions of images run through one network.

    Attributes
    ----------
    backbone
        The network.
    batch_size, slice_size
        Images of a batch, and of a part of it that goes through at a time.
    precision
        Of products.
    """

    backbone: Backbone
    batch_size: int
    slice_size: int | None
    precision: Precision

    @property
    def taps(self) -> Taps:
        """The network, opened up."""
        assert self.backbone.taps is not None  # see check_fit
        return self.backbone.taps

    def run(self, function: ImageFunction, *, slices: bool = True) -> Run:
        """Compile a function of (params, images, seeds) for any number of images."""
        parts = sliced(function, self.slice_size) if slices else function
        return in_batches(parts, self.backbone.params, self.batch_size)


def make_scorers(
    backbone: Backbone,
    methods: Sequence[str],
    *,
    batch_size: int,
    sparsities: Sequence[float] = (DEFAULT_SPARSITY,),
    mask: NamedMask | MaskFn | None = None,
    precision: Precision = DEFAULT_PRECISION,
    seed: int = 0,
    draws: Draws | None = None,
) -> tuple[Scorer, ...]:
    """Make what computes quality scores with one network.

    Parameters
    ----------
    backbone
        The network.
    methods
        Keys of :data:`METHODS`, each once.
    batch_size
        Images that go through the network at a time; smaller batches are filled up.
    sparsities
        For ``prefiqs`` and ``first-order``, each in [0, 1), each once.
    mask
        For the same; None = ``global/magnitude``.
    precision
        Of products, see :mod:`prefiqs_jax.execution.precision`.
    seed
        Of what is drawn at random; with the seed of an image
        (:func:`prefiqs_jax.quality.image_seeds`) it determines its draws.
    draws
        How much is drawn; None = as published. Its seed takes the place of ``seed``.

    Returns
    -------
    tuple of Scorer
        In no fixed order: methods that share passes are one scorer. Together their
        names are those of all outputs.

    Raises
    ------
    InputError
        Before any work, if there is no such method, or one does not fit the network.

    Examples
    --------
    >>> from prefiqs_jax.backbones import load_backbone
    >>> from prefiqs_jax.quality import image_seeds
    >>> made = make_scorers(load_backbone("demo"), ["random", "norm"], batch_size=2)
    >>> [scorer.names for scorer in made]
    [('norm',), ('random',)]
    >>> made[1].call(np.zeros((1, 112, 112, 3), np.float32), image_seeds(["a.png"]))
    {'random': array([0.309...])}
    """
    draws = draws or Draws(seed=seed)
    check_methods(methods)
    check_fit(backbone, methods, precision)
    if batch_size < 1:
        message = f"the batch size is {batch_size}, but must be at least 1"
        raise InputError(message)
    named = as_named(globally(magnitude) if mask is None else mask)
    masks = _masks(backbone, methods, sparsities, named)
    made = _sharing(backbone, methods, masks, batch_size, precision)
    if masks is not None:
        identity = {**named.describe(), "masks_sha256": masks.sha256}
        made = [dataclasses.replace(each, identity=identity) for each in made]
    own = {GRAFIQS: _grafiqs, SERFIQ: _serfiq, FACEQAN: _faceqan}
    if own.keys() & set(methods):
        passes = Passes(backbone, batch_size, _slice(backbone, batch_size), precision)
        made += [make(passes, draws) for name, make in own.items() if name in methods]
    if RANDOM in methods:
        made.append(
            scorer(
                [RANDOM],
                lambda _, seeds: {RANDOM: random_quality(seeds, draws.seed)},
                random={"seed": draws.seed},
            )
        )
    return tuple(made)


def _masks(
    backbone: Backbone,
    methods: Sequence[str],
    sparsities: Sequence[float],
    mask: NamedMask,
) -> PackedMasks | None:
    if not {PREFIQS, FIRST_ORDER} & set(methods):
        return None
    for sparsity in sparsities:
        check_sparsity(sparsity)
    if not sparsities or len(set(sparsities)) < len(sparsities):
        given = ", ".join(f"{s:g}" for s in sparsities) or "none"
        message = f"sparsities are {given}; give at least one, each once"
        raise InputError(message)
    return pack_masks(mask.mask_fn, backbone.params, tuple(sparsities), mask.prunable)


def _sharing(
    backbone: Backbone,
    methods: Sequence[str],
    masks: PackedMasks | None,
    batch_size: int,
    precision: Precision,
) -> list[Scorer]:
    """Make the scorers of what starts with the same dense forward pass."""
    made: list[Scorer] = []
    left = [name for name in methods if name in (PREFIQS, NORM, CRFIQA)]
    if FIRST_ORDER in methods and masks is not None:
        make = both_scorer if PREFIQS in methods else first_order_scorer
        made.append(
            make(
                backbone,
                masks,
                batch_size=batch_size,
                precision=precision,
                norm=NORM in methods,
            )
        )
        left = [name for name in left if name == CRFIQA]
    if left:
        made.append(
            forward_scorer(
                backbone, left, masks, batch_size=batch_size, precision=precision
            )
        )
    return made


def _slice(backbone: Backbone, batch_size: int) -> int | None:
    """Give the images of a slice, where slices pay, as for a network's own passes."""
    if jax.default_backend() != "cpu":
        return None
    pixels = backbone.preprocessing
    image = jax.ShapeDtypeStruct((1, pixels.height, pixels.width, 3), np.float32)
    intensity = network_intensity(backbone.apply_fn, backbone.params, image)
    return default_slice(batch_size, intensity)


def _grafiqs(passes: Passes, draws: Draws) -> Scorer:
    del draws
    observe: Any = passes.taps.observe
    whole: Any = at_precision(lambda p, both: observe(p, *both), passes.precision)
    run = passes.run(grafiqs.gradient_magnitudes(lambda p, x, s: whole(p, (x, s))))
    names = [f"{GRAFIQS}/{output}" for output in grafiqs.OUTPUTS]

    def compute(images: NDArray, seeds: NDArray) -> dict[str, NDArray]:
        return dict(zip(names, -run(images, seeds), strict=True))

    return scorer(names, compute)


def _serfiq(passes: Passes, draws: Draws) -> Scorer:
    taps, size = passes.taps, passes.slice_size
    trunk, head = (
        at_precision(part, passes.precision) for part in (taps.trunk, taps.head)
    )
    drawn: dict[str, Any] = {
        "passes": draws.serfiq_passes,
        "dropout": draws.serfiq_dropout,
        "seed": draws.seed,
    }
    function = serfiq.mean_distances(
        in_slices(trunk, size) if size else trunk, head, **drawn
    )
    # The head is one product with large weights: the more images at once the better.
    run = passes.run(function, slices=False)
    return scorer(
        [SERFIQ],
        lambda images, seeds: {SERFIQ: serfiq.quality_of(run(images, seeds))},
        serfiq=drawn,
    )


def _faceqan(passes: Passes, draws: Draws) -> Scorer:
    taps = passes.backbone.taps
    apply_fn = taps.apply_for_gradients if taps else passes.backbone.apply_fn
    drawn: dict[str, Any] = {
        "samples": draws.faceqan_samples,
        "steps": draws.faceqan_steps,
        "epsilon": draws.faceqan_epsilon,
        "seed": draws.seed,
    }
    function = faceqan.similarities(
        at_precision(apply_fn, passes.precision), passes.backbone.preprocessing, **drawn
    )
    run = passes.run(function)
    return scorer(
        [FACEQAN],
        lambda images, seeds: {FACEQAN: faceqan.quality_of(run(images, seeds))},
        faceqan=drawn,
    )
