"""Iterative optimisation of quality labels by the similarities of mated images."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.checks import checked_values
from prefiqs_jax.fiqa.labels.clustering import kmeans
from prefiqs_jax.fiqa.verification.similarity import unit_embeddings


class Grouping(NamedTuple):
    """Images in the order of their identities, and of the clusters within each."""

    image: Int[np.ndarray, " known"]
    """The image at each place."""
    cluster: Int[np.ndarray, " known"]
    """The cluster of each place; clusters of all identities are numbered through."""
    cluster_start: Int[np.ndarray, " clusters_1"]
    """The first place of each cluster, and the number of places at the end."""
    identity_start: Int[np.ndarray, " identities_1"]
    """The first cluster of each identity, and the number of clusters at the end."""


def optimise_labels(
    quality: ArrayLike,
    embeddings: ArrayLike,
    identities: Sequence[object],
    *,
    seed: int = 0,
    draws: int = 10,
    clusters: int = 20,
    step: float = 1e-3,
) -> NDArray[np.floating]:
    """Move qualities a little towards the ranks of the images' mated similarities.

    With i(x) = 0 … N - 1 the rank of the quality of image x, and r(x) the mean rank,
    among all mated pairs drawn, of the similarity of those pairs whose lower quality
    is that of x:

        i'(x) = i(x) + ε (r(x) - i(x))

    averaged over draws that all start from the same i. The sorted qualities are then
    handed out in the order of i'.

    Parameters
    ----------
    quality
        Shape (images,): higher = better.
    embeddings
        Shape (images, dim), raw or of unit norm.
    identities
        Who is on each image, one a row; None or NaN where that is unknown.
    seed
        For the clustering and for the pairs drawn.
    draws
        How often pairs are drawn.
    clusters
        K-means clusters of each identity's unit embeddings. For each image, one image
        is drawn from each of the other clusters of its identity.
    step
        ε, in (0, 1], and small: pairs are ranked among up to ``clusters - 1`` times as
        many as there are images, so that 0.001 moves an image by up to 1.9 % of the
        ranks (by less than one rank where there are few images). An image that is in no
        pair the lower one keeps i, so that steps near 1 put the best images last.

    Returns
    -------
    ndarray
        Shape (images,), of the type of ``quality``: the same values, bit for bit, in
        another order. Images of unknown identity keep theirs and take no part. Images
        that are the only ones of theirs keep their i, not always their value.

    Raises
    ------
    InputError
        If the shapes do not fit, a quality is not finite, an embedding is zero or not
        finite, no identity has two images, or a number is out of its range.

    Notes
    -----
    This uses the identities: on images with which it was made, the result has seen the
    mated pairs by which an evaluation judges it. See ``analysis/label_optimisation.py``
    for what is left of the gain on others.

    The definition is the published one where it says anything. Ours are these. Equal
    qualities are ranked in the order of the images; equal i' in the order of i. Pairs
    of equal similarity (of two images, each may draw the other) are ranked as listed.
    An identity with no more images than clusters has a cluster for each; the published
    code stops there. Pairs are ordered, (x, y) beside (y, x), so that the original's
    removal of equal ones removes none.

    References
    ----------
    Babnik & Štruc (2022). Iterative Optimization of Pseudo Ground-Truth Face Image
    Quality Labels. ERK; arXiv:2208.14683. Babnik, Damer & Štruc (2023).
    Optimization-Based Improvement of Face Image Quality Assessment Techniques. IWBF;
    arXiv:2305.14856.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> who = np.repeat(np.arange(20), 5)
    >>> embeddings = rng.normal(size=(20, 8))[who] + 0.5 * rng.normal(size=(100, 8))
    >>> quality = rng.random(100)
    >>> better = optimise_labels(quality, embeddings, list(who), step=0.1)
    >>> bool((np.sort(better) == np.sort(quality)).all())
    True
    """
    if draws < 1 or clusters < 2 or not 0 < step <= 1:
        message = (
            f"draws={draws}, clusters={clusters}, step={step}: give at least 1 draw, "
            "at least 2 clusters, and a step above 0 and at most 1"
        )
        raise InputError(message)
    quality = checked_values("quality", quality)
    rows = np.asarray(embeddings)
    if rows.ndim != 2 or len(rows) != len(quality):
        message = (
            f"embeddings have shape {rows.shape}, but must have ({len(quality)}, dim)"
        )
        raise InputError(message)
    codes = known_codes(identities, len(quality))
    for_clusters, *for_draws = np.random.SeedSequence(seed).spawn(1 + draws)
    grouping = group_images(rows, codes, clusters, np.random.default_rng(for_clusters))
    known = np.flatnonzero(codes >= 0)
    by_quality = known[np.argsort(quality[known], kind="stable")]
    rank = np.full(len(quality), -1)
    rank[by_quality] = np.arange(len(by_quality))

    moved = np.zeros(len(quality))
    for each in for_draws:
        places = draw_partners(grouping, np.random.default_rng(each))
        similarity = _similarities(rows, grouping, *places)
        first, second = (grouping.image[side] for side in places)
        credited = np.where(rank[first] < rank[second], first, second)
        moved += _move(rank, credited, similarity, step)
    moved /= draws
    order = by_quality[np.argsort(moved[by_quality], kind="stable")]
    result = quality.copy()
    result[order] = quality[by_quality]
    return result


def group_images(
    embeddings: Float[np.ndarray, "images dim"],
    codes: Int[np.ndarray, " images"],
    clusters: int,
    rng: np.random.Generator,
) -> Grouping:
    """Cluster the unit embeddings of each identity, of those whose code is not below 0.

    ``rng`` starts K-means, identity by identity; ``clusters`` are those of each.
    """
    order = np.argsort(codes, kind="stable")[np.sum(codes < 0) :]
    ends = np.cumsum(np.bincount(codes[order]))
    images: list[NDArray[np.intp]] = []
    labels: list[NDArray[np.intp]] = []
    identity_start = [0]
    for members in np.split(order, ends[:-1]):
        own = kmeans(_unit(embeddings, members), clusters, rng)
        within = np.argsort(own, kind="stable")
        images.append(members[within])
        labels.append(own[within] + identity_start[-1])
        identity_start.append(identity_start[-1] + int(own.max()) + 1)
    cluster = np.concatenate(labels)
    cluster_start = np.concatenate([[0], np.cumsum(np.bincount(cluster))])
    return Grouping(
        np.concatenate(images), cluster, cluster_start, np.array(identity_start)
    )


def draw_partners(
    grouping: Grouping, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Draw for each image one image from each other cluster of its identity.

    Gives places in the grouping, sorted by the first.
    """
    starts, sizes = grouping.cluster_start, np.diff(grouping.cluster_start)
    per_identity = np.diff(grouping.identity_start)
    identity = np.repeat(np.arange(len(per_identity)), per_identity)[grouping.cluster]
    others = per_identity[identity] - 1
    first = np.repeat(np.arange(len(grouping.image)), others)
    # The number of each pair among those of its first image.
    other = np.arange(len(first)) - np.repeat(np.cumsum(others) - others, others)
    cluster = grouping.identity_start[identity[first]] + other
    cluster += cluster >= grouping.cluster[first]
    return first, starts[cluster] + rng.integers(0, sizes[cluster])


def known_codes(
    identities: Sequence[object], images: int
) -> Int[np.ndarray, " images"]:
    """Give each identity a number, from 0 as they appear, and -1 to None and NaN.

    Raises InputError if there are not as many as images, or no identity has two images.

    >>> known_codes(["bob", None, "ann", "bob"], 4)
    array([ 0, -1,  1,  0])
    """
    if len(identities) != images:
        message = f"{len(identities)} identities for {images} images; give one for each"
        raise InputError(message)
    import pandas as pd

    codes = pd.factorize(pd.Series(list(identities), dtype=object))[0]
    if np.bincount(codes + 1)[1:].max(initial=0) < 2:
        message = (
            f"no identity is known to have two of the {images} images: labels are "
            "optimised by mated pairs; give identities with several images"
        )
        raise InputError(message)
    return codes


def _unit(embeddings: NDArray, images: Int[np.ndarray, " some"]) -> NDArray[np.float64]:
    return unit_embeddings(embeddings, chosen=images, dtype=np.float64)


def _similarities(
    embeddings: NDArray,
    grouping: Grouping,
    first: Int[np.ndarray, " pairs"],
    second: Int[np.ndarray, " pairs"],
) -> NDArray[np.float64]:
    """Look up pairs of places, sorted by the first, in each identity's cosines."""
    similarity = np.empty(len(first))
    starts = grouping.cluster_start[grouping.identity_start]
    for start, end in itertools.pairwise(starts.tolist()):
        rows = _unit(embeddings, grouping.image[start:end])
        part = slice(*np.searchsorted(first, [start, end]))
        similarity[part] = (rows @ rows.T)[first[part] - start, second[part] - start]
    return similarity


def _move(
    rank: NDArray[np.intp],
    credited: NDArray[np.intp],
    similarity: NDArray[np.float64],
    step: float,
) -> NDArray[np.float64]:
    """Compute i' after one draw."""
    pair_rank = np.empty(len(similarity))
    pair_rank[np.argsort(similarity, kind="stable")] = np.arange(len(similarity))
    count = np.bincount(credited, minlength=len(rank))
    total = np.bincount(credited, weights=pair_rank, minlength=len(rank))
    toward = np.where(count > 0, total / np.maximum(count, 1), rank)
    return rank + step * (toward - rank)
