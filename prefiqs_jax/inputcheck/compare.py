"""Compare a network's preprocessing with its alternatives on one's own pictures."""

from collections import Counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.inputcheck.alternatives import alternatives
from prefiqs_jax.inputcheck.embeddings import Pictures, embeddings, load_pictures
from prefiqs_jax.inputcheck.fits import PreprocessingComparison, PreprocessingFit
from prefiqs_jax.inputcheck.judge import judge, unit_rows
from prefiqs_jax.inputcheck.sample import ENOUGH_PEOPLE, sample

MAX_IMAGES = 300
"""Pictures that are enough to see a wrong input."""
MOST_IMAGES = 2000
"""More would only take memory: all comparisons are held at once."""
ENOUGH_PICTURES = 10
"""Fewer pictures, each compared with mirror images, are no sample to draw from."""


def compare_preprocessing(
    backbone: Backbone,
    folder: ImageFolder,
    *,
    max_images: int = MAX_IMAGES,
    batch_size: int = 32,
    replicates: int = 2000,
    seed: int = 0,
    on_bad_image: Literal["fail", "skip"] = "fail",
    progress: bool = False,
) -> PreprocessingComparison:
    """Find out whether pictures fit a network better in another form than the stored.

    The alternatives are both orders of the channels with the scalings to [-1, 1] and to
    [0, 1] and none. The form that a network was trained with separates people best.

    Parameters
    ----------
    backbone
        The network; its ``preprocessing`` is what is questioned.
    folder
        Aligned faces, as :func:`prefiqs_jax.images.read_folder` lists them.
    max_images
        Largest number of pictures (at most ``MOST_IMAGES``), taken evenly, a person's
        pictures together.
    batch_size
        Pictures in a batch.
    replicates, seed
        Of the bootstrap.
    on_bad_image
        ``"fail"`` or ``"skip"``.
    progress
        Show a bar on standard error.

    Returns
    -------
    PreprocessingComparison
        A fit for each; ``best``, ``alike`` and ``fits`` draw the conclusion.

    Raises
    ------
    InputError
        If a picture cannot be used, none is left, or a number is out of range.

    Notes
    -----
    With five people or more of two pictures each, comparisons are those of all
    pictures, and people are drawn by the bootstrap. Differences between alternatives
    are paired, and their level is 1 - 0.05 / (alternatives), so that by chance alone at
    most one check in twenty would blame a right preprocessing (less surely so with few
    people).

    Without them, a picture and its mirror image are taken as mated, and pictures are
    drawn. A network maps mirror images close together in wrong colours, too: SFace on
    100 pictures of LFW has d' 6.1 with the right order of the channels, 6.4 with the
    wrong one, and 2.1 without scaling, where identities give 7.0, 6.2 and 0.6.
    Therefore only an alternative that stays below two thirds of the best d' counts as
    worse, and the order of the channels remains open.

    The mean norm is shown because a wrong input often lowers it; it decides nothing.
    """
    if not 1 <= max_images <= MOST_IMAGES:
        message = f"max_images={max_images}: give a number from 1 to {MOST_IMAGES}"
        raise InputError(message)
    if batch_size < 1 or replicates < 1:
        message = (
            f"batch_size={batch_size}, replicates={replicates}: each must be at least 1"
        )
        raise InputError(message)
    chosen = sample(folder, max_images)
    pictures = load_pictures(folder, chosen, backbone, on_bad_image)
    if len(pictures.pixels) == 0:
        message = f"{folder.root}: none of {len(chosen)} pictures can be used"
        raise InputError(message)
    is_grey = (pictures.pixels == pictures.pixels[..., :1]).all(axis=(1, 2, 3))
    candidates = alternatives(backbone.preprocessing, grey=bool(is_grey.all()))
    people, rows = _people(pictures.identities)
    evidence = None
    if people:
        evidence = "identities"
    elif len(pictures.pixels) >= ENOUGH_PICTURES:
        evidence = "mirrors"

    pixels = pictures.pixels[rows] if people else pictures.pixels
    found = list(
        embeddings(
            backbone,
            pixels,
            candidates,
            mirrored=evidence == "mirrors",
            batch_size=batch_size,
            progress=progress,
        )
    )
    fits = [
        PreprocessingFit(each, *_norm_and_spread(raw))
        for each, (raw, _) in zip(candidates, found, strict=True)
    ]
    fmr = None
    if evidence is not None:
        units = [unit_rows(raw, mirror) for raw, mirror in found]
        codes = _codes(pictures, rows) if people else np.arange(len(pixels))
        fmr, fits = judge(fits, units, codes, evidence, replicates, seed)
    return PreprocessingComparison(
        tuple(fits),
        evidence,
        len(pixels),
        people,
        fmr,
        int(is_grey[rows].sum() if people else is_grey.sum()),
        pictures.skipped,
    )


def _norm_and_spread(raw: NDArray[np.float64]) -> tuple[float, float]:
    norm = np.linalg.norm(raw, axis=1)
    mean = float(norm.mean())
    return mean, float(norm.std()) / mean if mean else 0.0


def _people(identities: tuple[str | None, ...]) -> tuple[int, NDArray[np.intp]]:
    """Count the people, and find their pictures; 0 if there are too few."""
    known = np.array([who is not None for who in identities])
    rows = np.flatnonzero(known)
    names = [identities[row] for row in rows]
    pictures = Counter(names)
    repeated = sum(count > 1 for count in pictures.values())
    return (len(pictures) if repeated >= ENOUGH_PEOPLE else 0), rows


def _codes(pictures: Pictures, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    names = [str(pictures.identities[row]) for row in rows]
    return np.unique(names, return_inverse=True)[1]
