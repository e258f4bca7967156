"""The table of a run: six statistics per sparsity, each with its bootstrap interval."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.agreement import (
    mean_cosine,
    median_relative_error,
    slope_through_origin,
)
from prefiqs_jax.statistics.bootstrap import bootstrap_weights, percentile_interval
from prefiqs_jax.statistics.correlation import pearson, spearman
from prefiqs_jax.statistics.rank_agreement import kendall

if TYPE_CHECKING:
    import pandas as pd

Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]

STATISTICS: dict[str, Statistic] = {
    "pearson": lambda f, d, _c, w: pearson(f, d, w),
    "spearman": lambda f, d, _c, w: spearman(f, d, w),
    "kendall": lambda f, d, _c, w: kendall(f, d, w),
    "slope": lambda f, d, _c, w: slope_through_origin(f, d, w),
    "median_relative_error": lambda f, d, _c, w: median_relative_error(f, d, w),
    "mean_cosine": lambda _f, _d, c, w: mean_cosine(c, w),
}
"""``(first_order, drift, cosine, weights) -> (replicates,)`` by name, as tabulated."""

_CORRELATIONS = frozenset({"pearson", "spearman", "kendall"})
_FEWEST_IMAGES = 3
_THREADS = 4
# Numbers of one weight matrix held at once (8 MB); a thread holds about ten such.
_CHUNK_NUMBERS = 2**20


def summarise(
    rows: "pd.DataFrame",
    *,
    replicates: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    on_progress: Callable[[int], object] | None = None,
) -> "pd.DataFrame":
    """Summarise the agreement of first order and drift per network, mask and sparsity.

    Parameters
    ----------
    rows
        Rows of one or more runs, as :func:`prefiqs_jax.results.read` gives them.
    replicates
        Bootstrap replicates.
    seed
        Of the bootstrap. One draw serves every sparsity and statistic of a network and
        mask, so differences between sparsities are paired.
    level
        Coverage of the percentile intervals.
    on_progress
        Called with the number of replicates done since the last call; a network and
        mask takes ``replicates``.

    Returns
    -------
    pandas.DataFrame
        Columns backbone, mask, sparsity, statistic (a key of ``STATISTICS``), value,
        low, high, images, clusters, resampled_by. Clusters are the identities where
        every row of that network and mask has one and there are two or more, otherwise
        the images. Correlations of fewer than 3 images are NaN, and so is every
        interval over fewer than 3 images or 2 clusters.

    Raises
    ------
    InputError
        If there are no rows, an image has two rows at one sparsity, a distance is not
        finite, or replicates or level are out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"backbone": "toy", "mask": "global/magnitude",
    ...     "image": list("abcd"), "identity": None, "sparsity": 0.3,
    ...     "first_order": [0.1, 0.2, 0.3, 0.4], "drift": [0.1, 0.2, 0.3, 0.4],
    ...     "cosine": 1.0})
    >>> table = summarise(rows, replicates=50)
    >>> table.loc[table.statistic == "slope", ["value", "low", "high"]].values.tolist()
    [[1.0, 1.0, 1.0]]
    """
    import pandas as pd

    _check(rows, replicates, level)
    entries: list[dict[str, Any]] = []
    for _, group in rows.groupby(["backbone", "mask"], sort=False):
        run = {"backbone": group["backbone"].iloc[0], "mask": group["mask"].iloc[0]}
        for entry in _summarise_run(group, replicates, seed, level, on_progress):
            entries.append({**run, **entry})
    return pd.DataFrame(entries)


def _check(rows: "pd.DataFrame", replicates: int, level: float) -> None:
    if len(rows) == 0:
        message = "no rows to summarise; run prefiqs sweep first"
        raise InputError(message)
    if replicates < 1 or not 0 < level < 1:
        message = (
            f"replicates={replicates}, level={level}: give at least 1 replicate and a "
            "level between 0 and 1"
        )
        raise InputError(message)
    repeated = rows.duplicated(["backbone", "mask", "image", "sparsity"])
    if repeated.any():
        row = rows[repeated].iloc[0]
        message = (
            f"image {row['image']} has two rows at sparsity {row['sparsity']:g}; "
            "give each run once"
        )
        raise InputError(message)
    odd = ~np.isfinite(rows[["first_order", "drift"]].to_numpy(np.float64)).all(axis=1)
    if odd.any():
        row = rows[odd].iloc[0]
        message = (
            f"image {row['image']} at sparsity {row['sparsity']:g} has a drift or "
            "first order that is not finite; leave the image out"
        )
        raise InputError(message)


def _clusters(group: "pd.DataFrame") -> tuple[np.ndarray, np.ndarray, str]:
    """Give the images of a run, the cluster of each, and what the clusters are."""
    import pandas as pd

    image_codes, images = pd.factorize(group["image"])
    identity_codes, identities = pd.factorize(group["identity"])
    if len(identities) < 2 or (identity_codes < 0).any():
        return image_codes, np.arange(len(images)), "image"
    clusters = np.empty(len(images), np.intp)
    clusters[image_codes] = identity_codes
    return image_codes, clusters, "identity"


def _weight_chunks(
    clusters: np.ndarray, replicates: int, seed: int
) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK_NUMBERS // max(len(clusters), 1))
    for start in range(0, replicates, size):
        yield bootstrap_weights(clusters, min(size, replicates - start), rng)


def _summarise_run(
    group: "pd.DataFrame",
    replicates: int,
    seed: int,
    level: float,
    on_progress: Callable[[int], object] | None,
) -> Iterator[dict[str, Any]]:
    image_codes, clusters, resampled_by = _clusters(group)
    sparsity = group["sparsity"].to_numpy(np.float64)
    levels = np.unique(sparsity)
    columns = group[["first_order", "drift", "cosine"]].to_numpy(np.float64)
    places = [np.flatnonzero(sparsity == s) for s in levels]

    samples = [np.ascontiguousarray(columns[place].T) for place in places]

    def evaluate(weights: np.ndarray, i: int) -> np.ndarray:
        first_order, drift, cosine = samples[i]
        own = weights[:, image_codes[places[i]]]
        return np.stack(
            [s(first_order, drift, cosine, own) for s in STATISTICS.values()]
        )

    # Replicates outside, sparsities inside: each weight vector is drawn once, for all.
    # Threads, because NumPy works without the interpreter lock.
    chunks: list[list[np.ndarray]] = []
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for weights in _weight_chunks(clusters, replicates, seed):
            chunks.append(
                list(pool.map(partial(evaluate, weights), range(len(levels))))
            )
            if on_progress is not None:
                on_progress(len(weights))
    whole = np.ones((1, len(clusters)))

    for i, place in enumerate(places):
        images = len(place)
        cluster_count = len(np.unique(clusters[image_codes[place]]))
        drawn = np.concatenate([chunk[i] for chunk in chunks], axis=1)
        values = evaluate(whole, i)[:, 0].tolist()
        for name, value, replicate in zip(STATISTICS, values, drawn, strict=True):
            low, high = percentile_interval(replicate, level)
            if images < _FEWEST_IMAGES and name in _CORRELATIONS:
                value = float("nan")
            if images < _FEWEST_IMAGES or cluster_count < 2 or np.isnan(value):
                low = high = float("nan")
            yield {
                "sparsity": float(levels[i]),
                "statistic": name,
                "value": value,
                "low": low,
                "high": high,
                "images": images,
                "clusters": cluster_count,
                "resampled_by": resampled_by,
            }
