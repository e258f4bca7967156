"""From the names of methods to scorers that share what can be shared."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision
from prefiqs_jax.execution.slices import default_slice
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.masks import AnyMask, NamedMask, globally, magnitude
from prefiqs_jax.masks.allocation import check_sparsity
from prefiqs_jax.masks.named import as_named
from prefiqs_jax.masks.norms import delta_norms
from prefiqs_jax.masks.packed import PackedMasks, pack_masks
from prefiqs_jax.quality.draws import Draws
from prefiqs_jax.quality.first_order import first_order_scorer
from prefiqs_jax.quality.forwards import forward_scorer
from prefiqs_jax.quality.method import Passes, intensity_of
from prefiqs_jax.quality.methods import (
    check_fit,
    check_methods,
    find_method,
    method_names,
)
from prefiqs_jax.quality.scorer import Scorer
from prefiqs_jax.quality.shared import CRFIQA, FIRST_ORDER, NORM, PREFIQS
from prefiqs_jax.sweep.calibration import calibrate
from prefiqs_jax.terminal import say
from prefiqs_jax.types import Params

DEFAULT_SPARSITY = 0.4
"""Best of the paper's ablation, for unstructured magnitude masks."""


SCORED = "the scored images"
"""Source of calibration images that are those whose quality is asked for."""


class PreparedMask(NamedTuple):
    """A mask that was ranked for one network, at every sparsity."""

    named: NamedMask
    """Bound to the network, and to calibration images where it needs data."""
    packed: PackedMasks


def prepare_mask(
    backbone: Backbone,
    mask: AnyMask,
    sparsities: Sequence[float],
    *,
    calibration: ImageFolder | None = None,
    calibration_source: str = "given",
    earlier: Params | None = None,
    on_bad_image: Literal["fail", "skip"] = "fail",
) -> PreparedMask:
    """Rank the weights of a network once, for all sparsities.

    Says which layers lose all their weights. Parameters and errors are those of
    :func:`make_scorers`.
    """
    for sparsity in sparsities:
        check_sparsity(sparsity)
    if not sparsities or len(set(sparsities)) < len(sparsities):
        given = ", ".join(f"{s:g}" for s in sparsities) or "none"
        message = f"sparsities are {given}; give at least one, each once"
        raise InputError(message)
    named = as_named(mask)
    (named,) = calibrate(
        [named],
        backbone,
        calibration,
        source=calibration_source,
        seed=int(named.seed or 0),
        earlier=earlier,
        on_bad_image=on_bad_image,
    )
    params, name = backbone.params, named.name
    found = pack_masks(named.mask_fn, params, sparsities, named.prunable, name=name)
    say(*found.remarks(params))
    lengths = delta_norms(params, found)[0].delta_norm
    for sparsity, length in zip(sparsities, lengths, strict=True):
        if sparsity and not length:
            message = (
                f"{name} at sparsity {sparsity:g} takes only weights that are zero "
                "already, so that no embedding changes; give a higher sparsity, or "
                "the network before it was pruned"
            )
            raise InputError(message)
    return PreparedMask(named, found)


def make_scorers(
    backbone: Backbone,
    methods: Sequence[str],
    *,
    batch_size: int,
    sparsities: Sequence[float] = (DEFAULT_SPARSITY,),
    mask: AnyMask | PreparedMask | None = None,
    precision: Precision = DEFAULT_PRECISION,
    seed: int = 0,
    draws: Draws | None = None,
    calibration: ImageFolder | None = None,
    calibration_source: str = "given",
    earlier: Params | None = None,
    on_bad_image: Literal["fail", "skip"] = "fail",
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
        For the same; None = ``global/magnitude``. One that :func:`prepare_mask`
        prepared for this network is taken as it is, with its sparsities.
    precision
        Precision of matmuls and convolutions, see
        :mod:`prefiqs_jax.execution.precision`.
    seed
        Key of what is drawn at random; with the seed of an image
        (:func:`prefiqs_jax.quality.image_seeds`) it determines its draws.
    draws
        How much is drawn; None = as published. Its seed takes the place of ``seed``.
    calibration
        Images for a mask that needs data and has no context yet. Of more than 256, 256
        are taken, evenly spread.
    calibration_source
        What these images are, for the record.
    earlier
        Weights of an earlier checkpoint of the network, for movement.
    on_bad_image
        Of the calibration images: ``"fail"`` or ``"skip"``.

    Returns
    -------
    tuple of Scorer
        In no fixed order: methods that share passes are one scorer. Together their
        names are those of all outputs.

    Raises
    ------
    InputError
        Before any work, if there is no such method, or one does not fit the network;
        if the mask needs images and there are none, or one cannot be used.

    Examples
    --------
    >>> import numpy as np
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
    prepared = None
    if {PREFIQS, FIRST_ORDER} & set(methods):
        prepared = mask
        if not isinstance(prepared, PreparedMask):
            prepared = prepare_mask(
                backbone,
                globally(magnitude) if prepared is None else prepared,
                sparsities,
                calibration=calibration,
                calibration_source=calibration_source,
                earlier=earlier,
                on_bad_image=on_bad_image,
            )
    masks = prepared and prepared.packed
    made = _sharing(
        backbone, methods, masks, batch_size=batch_size, precision=precision
    )
    if prepared is not None:
        digest = prepared.packed.sha256
        identity = {**prepared.named.describe(), "masks_sha256": digest}
        made = [dataclasses.replace(each, identity=identity) for each in made]
    found = (find_method(name).make for name in method_names() if name in methods)
    makers = [make for make in found if make]
    if makers:
        on_cpu = jax.default_backend() == "cpu"
        size = default_slice(batch_size, intensity_of(backbone)) if on_cpu else None
        passes = Passes(backbone, batch_size, size, precision)
        made += [make(passes, draws) for make in makers]
    return tuple(made)


def _sharing(
    backbone: Backbone,
    methods: Sequence[str],
    masks: PackedMasks | None,
    **passes: Any,
) -> list[Scorer]:
    """Make the scorers of what starts with the same dense forward pass."""
    made: list[Scorer] = []
    left = [name for name in methods if name in (PREFIQS, NORM, CRFIQA)]
    if FIRST_ORDER in methods and masks is not None:
        also = {"drift": PREFIQS in methods, "norm": NORM in methods}
        made.append(first_order_scorer(backbone, masks, **also, **passes))
        left = [name for name in left if name == CRFIQA]
    if left:
        made.append(forward_scorer(backbone, left, masks, **passes))
    return made
