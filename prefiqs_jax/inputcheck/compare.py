"""Compare a network's preprocessing with its alternatives on one's own images."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone, Preprocessing
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.images import ImageFolder, load_batches
from prefiqs_jax.inputcheck.alternatives import alternatives
from prefiqs_jax.inputcheck.fits import PreprocessingComparison, PreprocessingFit
from prefiqs_jax.inputcheck.judge import judge
from prefiqs_jax.terminal import progress_bar

MAX_IMAGES = 300
"""Images that are enough to see a wrong input."""
MOST_IMAGES = 2000
"""More would only take memory: all comparisons are held at once."""
ENOUGH_IMAGES = 10
"""Fewer images, each compared with mirror images, are no sample to draw from."""
ENOUGH_PEOPLE = 5
"""Fewer people are no sample to draw from."""


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
    """Find out whether images fit a network better in another form than the stored.

    The alternatives are both orders of the channels with the scalings to [-1, 1] and to
    [0, 1] and none. The form that a network was trained with separates people best.

    Parameters
    ----------
    backbone
        The network; its ``preprocessing`` is what is questioned.
    folder
        Aligned faces, as :func:`prefiqs_jax.images.read_folder` lists them.
    max_images
        Largest number of images (at most ``MOST_IMAGES``), taken evenly, a person's
        images together.
    batch_size
        Images in a batch.
    replicates, seed
        Replicates of the bootstrap, and the seed of its draws.
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
        If an image cannot be used, none is left, or a number is out of range.

    Notes
    -----
    With five people or more of two images each, comparisons are those of all images,
    and people are drawn by the bootstrap. Differences between alternatives are paired,
    and their level is 1 - 0.05 / (alternatives), so that by chance alone at most one
    check in twenty would blame a right preprocessing (less surely so with few people).

    Without them, an image and its mirror image are taken as mated, and images are
    drawn. A network maps mirror images close together in wrong colours, too: SFace on
    100 images of LFW has d' 6.1 with the right order of the channels, 6.4 with the
    wrong one, and 2.1 without scaling, where identities give 7.0, 6.2 and 0.6.
    Therefore only an alternative that stays below two thirds of the best d' counts as
    worse, and the order of the channels remains open.

    The mean norm is shown because a wrong input often lowers it; it decides nothing.
    """
    if not 1 <= max_images <= MOST_IMAGES:
        message = f"max_images={max_images}: give a number from 1 to {MOST_IMAGES}"
        raise InputError(message)
    if min(batch_size, replicates) < 1:
        given = f"batch_size={batch_size}, replicates={replicates}"
        message = f"{given}: each must be at least 1"
        raise InputError(message)
    stored = backbone.preprocessing
    chosen = sample(folder, max_images)
    (loaded,) = load_batches(
        folder.take(chosen),
        height=stored.height,
        width=stored.width,
        batch_size=len(chosen),
        needed_by=backbone.name,
        on_bad_image=on_bad_image,
    )
    pixels = loaded.pixels
    if len(pixels) == 0:
        message = f"{folder.root}: none of {len(chosen)} images can be used"
        raise InputError(message)
    is_grey = (pixels == pixels[..., :1]).all(axis=(1, 2, 3))
    candidates = alternatives(stored, grey=bool(is_grey.all()))
    known = np.array([who is not None for who in loaded.identities])
    names = [who for who in loaded.identities if who is not None]
    people, codes, counts = np.unique(names, return_inverse=True, return_counts=True)
    evidence = None
    if np.count_nonzero(counts > 1) >= ENOUGH_PEOPLE:
        evidence = "identities"
        pixels, is_grey = pixels[known], is_grey[known]
    elif len(pixels) >= ENOUGH_IMAGES:
        evidence = "mirrors"
        codes = np.arange(len(pixels))

    sides = (pixels, pixels[:, :, ::-1]) if evidence == "mirrors" else (pixels,)
    # One compiled step for all: only its input changes.
    embed = Embedder(backbone.apply_fn, min(batch_size, len(pixels)))
    total = len(candidates) * len(sides) * len(pixels)
    with progress_bar(total, progress=progress) as bar:

        def embedded(side: NDArray, pixels: Preprocessing) -> NDArray[np.float64]:
            report = bar.update
            return embed(backbone.params, side, preprocess=pixels, on_progress=report)

        raw = [[embedded(side, each) for side in sides] for each in candidates]
    fmr, judged = None, [{} for _ in raw]
    if evidence is not None:
        fmr, judged = judge(raw, codes, replicates, seed)
    fits = [
        PreprocessingFit(candidate, *_norm_and_spread(found[0]), **fields)
        for candidate, found, fields in zip(candidates, raw, judged, strict=True)
    ]
    return PreprocessingComparison(
        tuple(fits),
        evidence,
        images=len(pixels),
        people=len(people) if evidence == "identities" else 0,
        fmr=fmr,
        grey=int(is_grey.sum()),
        skipped=loaded.skipped,
    )


def sample(folder: ImageFolder, most: int) -> NDArray[np.intp]:
    """Choose at most ``most`` images of a folder: evenly, all of a person or none.

    With enough people who have two images or more, people are taken evenly from their
    sorted names, each with all images. (If a few people alone have more, images are
    taken evenly from each of five.) Otherwise images are taken evenly. Gives sorted
    indices.
    """
    images: dict[str, list[int]] = {}
    for index, who in enumerate(folder.identities):
        if who is not None:
            images.setdefault(who, []).append(index)
    people = [images[who] for who in sorted(images) if len(images[who]) > 1]
    if len(people) < ENOUGH_PEOPLE:
        return _evenly(len(folder.names), most)
    for count in range(min(len(people), most // 2), ENOUGH_PEOPLE - 1, -1):
        chosen = [people[each] for each in _evenly(len(people), count)]
        if sum(map(len, chosen)) <= most:
            return np.sort(np.concatenate(chosen))
    some = [people[each] for each in _evenly(len(people), ENOUGH_PEOPLE)]
    share = max(2, most // ENOUGH_PEOPLE)
    parts = [np.asarray(each)[_evenly(len(each), share)] for each in some]
    return np.sort(np.concatenate(parts))


def _evenly(count: int, most: int) -> NDArray[np.intp]:
    """Take at most ``most`` of ``count`` places, from the first to the last.

    >>> _evenly(10, 3), _evenly(2, 3)
    (array([0, 4, 9]), array([0, 1]))
    """
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def _norm_and_spread(raw: NDArray[np.float64]) -> tuple[float, float]:
    norm = np.linalg.norm(raw, axis=1)
    mean = float(norm.mean())
    return mean, float(norm.std()) / mean if mean else 0.0
