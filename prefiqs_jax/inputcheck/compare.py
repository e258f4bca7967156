"""Compare a network's preprocessing with its alternatives on one's own pictures."""

import dataclasses
from collections import Counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.backbones.backbone import Backbone
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import equal_error_rate, fnmr_at, threshold_at_fmr
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.inputcheck.alternatives import alternatives
from prefiqs_jax.inputcheck.embeddings import Pictures, embeddings, load_pictures
from prefiqs_jax.inputcheck.sample import ENOUGH_PEOPLE, sample
from prefiqs_jax.inputcheck.separation import Moments, d_prime_replicates, moments
from prefiqs_jax.statistics import percentile_interval

MAX_IMAGES = 300
"""Pictures that are enough to see a wrong input."""
MOST_IMAGES = 2000
"""More would only take memory: all comparisons are held at once."""
ENOUGH_PICTURES = 10
"""Fewer pictures, each compared with mirror images, are no sample to draw from."""
GROSS = 2 / 3
"""Of the best d' of mirror images; only what stays below is gross."""

_FALSE_MATCHES = 10  # so many, at least, hold a threshold
_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class PreprocessingFit:
    """How well pictures fit a network under one preprocessing.

    Attributes
    ----------
    preprocessing
        Of the input.
    norm, norm_spread
        Mean norm of the raw embeddings, and their standard deviation over that mean.
    separation
        d' of mated against non-mated similarities; None without enough pictures.
    low, high
        Interval of how far ``separation`` is above that of the best, bootstrapped by
        person or picture; its level allows for the number of alternatives.
    eer, fnmr
        Equal error rate, and FNMR at the comparison's ``fmr``; None if unknown.
    clearly_worse
        Whether the evidence says that it fits worse than the best.
    """

    preprocessing: Preprocessing
    norm: float
    norm_spread: float
    separation: float | None = None
    low: float | None = None
    high: float | None = None
    eer: float | None = None
    fnmr: float | None = None
    clearly_worse: bool = False


@dataclasses.dataclass(frozen=True)
class PreprocessingComparison:
    """The stored preprocessing of a network beside its alternatives.

    Attributes
    ----------
    rows
        One fit each; the stored preprocessing is the first.
    evidence
        ``"identities"``: the same person against others. ``"mirrors"``: a picture's
        mirror image against those of other pictures, which shows gross errors only.
        None: too few pictures for either.
    images, people
        How many were compared; 0 people where that does not matter.
    fmr
        False match rate of the column FNMR; None without identities.
    grey
        How many of the pictures are grey.
    skipped
        (name, reason) of pictures left out.
    """

    rows: tuple[PreprocessingFit, ...]
    evidence: Literal["identities", "mirrors"] | None
    images: int
    people: int
    fmr: float | None
    grey: int
    skipped: tuple[tuple[str, str], ...]

    @property
    def stored(self) -> PreprocessingFit:
        """The fit of what belongs to the weights."""
        return self.rows[0]

    @property
    def best(self) -> PreprocessingFit:
        """The fit with the largest separation; the stored one without evidence."""
        if self.evidence is None:
            return self.stored
        known = [row for row in self.rows if row.separation is not None]
        return max(known, key=lambda row: row.separation or 0.0)

    @property
    def alike(self) -> tuple[PreprocessingFit, ...]:
        """Alternatives that the pictures cannot tell from the best fit."""
        return tuple(row for row in self.rows[1:] if not row.clearly_worse)

    @property
    def fits(self) -> bool:
        """False if an alternative fits clearly better than the stored preprocessing."""
        return not self.stored.clearly_worse


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
        units = [_units(raw, mirror) for raw, mirror in found]
        codes = _codes(pictures, rows) if people else np.arange(len(pixels))
        fmr, fits = _judge(fits, units, codes, evidence, replicates, seed)
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


def _units(
    raw: NDArray[np.float64], mirror: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Scale the rows to compare to norm 1; None if one cannot be."""
    sides = (raw, raw if mirror is None else mirror)
    norms = [np.linalg.norm(side, axis=1, keepdims=True) for side in sides]
    if not all(np.isfinite(norm).all() and (norm > 0).all() for norm in norms):
        return None
    return sides[0] / norms[0], sides[1] / norms[1]


def _judge(
    fits: list[PreprocessingFit],
    units: list[tuple[NDArray[np.float64], NDArray[np.float64]] | None],
    codes: NDArray[np.intp],
    evidence: str,
    replicates: int,
    seed: int,
) -> tuple[float | None, list[PreprocessingFit]]:
    """Fill in what the comparisons say; without embeddings a fit is clearly worse."""
    usable = [(index, pair) for index, pair in enumerate(units) if pair is not None]
    if not usable:
        message = (
            "embeddings are zero or not finite under every preprocessing; are these "
            "the weights of this network?"
        )
        raise InputError(message)
    count = len(codes)
    if evidence == "identities":
        first, second = np.triu_indices(count, 1)
    else:
        first, second = np.divmod(np.arange(count**2), count)
    mated = codes[first] == codes[second]
    fmr = _supported_fmr(int((~mated).sum()))
    fits = [dataclasses.replace(fit, clearly_worse=True) for fit in fits]
    sums: list[Moments] = []
    for index, pair in usable:
        similarity = (pair[0] @ pair[1].T)[first, second]
        sums.append(moments(codes[first], codes[second], similarity, codes.max() + 1))
        if evidence == "identities":
            threshold = threshold_at_fmr(similarity[~mated], fmr)
            fits[index] = dataclasses.replace(
                fits[index],
                eer=equal_error_rate(similarity, mated),
                fnmr=fnmr_at(similarity[mated], threshold),
            )
    drawn = d_prime_replicates(sums, replicates, seed)
    best = int(np.argmax(drawn[0]))
    level = 1 - (1 - _LEVEL) / max(len(fits) - 1, 1)
    share = 1.0 if evidence == "identities" else GROSS
    for place, (index, _) in enumerate(usable):
        low, high = percentile_interval(drawn[1:, place] - drawn[1:, best], level)
        margin = drawn[1:, place] - share * drawn[1:, best]
        fits[index] = dataclasses.replace(
            fits[index],
            separation=float(drawn[0, place]),
            low=low,
            high=high,
            clearly_worse=percentile_interval(margin, level)[1] < 0,
        )
    return (fmr if evidence == "identities" else None), fits


def _supported_fmr(non_mated: int) -> float:
    """Give the smallest usual FMR that ten false matches support, at most 0.1.

    >>> _supported_fmr(4500), _supported_fmr(100), _supported_fmr(30)
    (0.01, 0.1, 0.1)
    """
    usual = (1e-4, 1e-3, 1e-2, 1e-1)
    return next((fmr for fmr in usual if fmr * non_mated >= _FALSE_MATCHES), 0.1)
