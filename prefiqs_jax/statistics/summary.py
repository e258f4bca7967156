"""The table of a run: seven statistics per sparsity, each with its interval."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.agreement import (
    mean_cosine,
    norm_error,
    relative_residual,
    slope_through_origin,
)
from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL, caution, rounding_note
from prefiqs_jax.statistics.correlation import kendall, pearson, spearman
from prefiqs_jax.statistics.jackknife import (
    check_level,
    deletion_groups,
    is_one,
    jackknife_interval,
    without_each,
)
from prefiqs_jax.statistics.kendall_without import kendall_without
from prefiqs_jax.statistics.rank_interval import with_rank_limits
from prefiqs_jax.statistics.rounding import ROUNDING, with_derived
from prefiqs_jax.statistics.weighted import weighted_median
from prefiqs_jax.statistics.woodruff import median_interval

if TYPE_CHECKING:
    import pandas as pd


class Sample(NamedTuple):
    """Columns of the rows of one sparsity, each of shape (images,)."""

    first_order: NDArray[np.float64]
    drift: NDArray[np.float64]
    residual: NDArray[np.float64]
    cosine: NDArray[np.float64]


Statistic = Callable[[Sample, NDArray[np.float64]], NDArray[np.float64]]

_MEDIANS: dict[str, Callable[[Sample], NDArray[np.float64]]] = {
    "median_relative_residual": lambda s: relative_residual(s.residual, s.drift),
    "median_norm_error": lambda s: norm_error(s.first_order, s.drift),
}
STATISTICS: dict[str, Statistic] = {
    "median_relative_residual": lambda s, w: weighted_median(
        _MEDIANS["median_relative_residual"](s), w
    ),
    "spearman": lambda s, w: spearman(s.first_order, s.drift, w),
    "kendall": lambda s, w: kendall(s.first_order, s.drift, w),
    "pearson": lambda s, w: pearson(s.first_order, s.drift, w),
    "slope": lambda s, w: slope_through_origin(s.first_order, s.drift, w),
    "median_norm_error": lambda s, w: weighted_median(
        _MEDIANS["median_norm_error"](s), w
    ),
    "mean_cosine": lambda s, w: mean_cosine(s.cosine, w),
}
"""``(sample, weights) -> (replicates,)`` by name, as tabulated."""

_DEFINED = _MEDIANS | {"mean_cosine": lambda s: s.cosine}
"""Values of each image; those that are not finite are left out of the statistic."""

_RANKS = ("spearman", "kendall")
_CORRELATIONS = frozenset({"pearson", "spearman", "kendall"})
# Where the sampling distribution is nearly symmetric, and ends stay inside [-1, 1].
_FISHER = _CORRELATIONS | {"mean_cosine"}
_FEWEST_IMAGES = 3
_THREADS = 4
# Numbers of one weight matrix held at once (8 MB); a thread holds about ten such.
_CHUNK_NUMBERS = 2**20


def summarise(
    rows: "pd.DataFrame",
    *,
    level: float = 0.95,
    rounding: float = ROUNDING,
    on_progress: Callable[[int], object] | None = None,
) -> "pd.DataFrame":
    """Summarise the agreement of first order and drift per network, mask and sparsity.

    Intervals are jackknives with Student's t over the people (over the images where
    somebody's identity is unknown): on the Fisher scale for correlations and the mean
    cosine, :func:`~prefiqs_jax.statistics.median_interval` for medians.
    The end of a rank correlation's towards ±1 is moved out, see
    :func:`~prefiqs_jax.statistics.rank_interval.with_rank_limits`. How often they cover
    is measured by ``experiments/coverage.py``.

    Parameters
    ----------
    rows
        Rows of one or more runs, as :func:`prefiqs_jax.results.read` gives them. Where
        they have a column copy_of (see :func:`prefiqs_jax.results.with_image_columns`),
        an image and its degraded copies are one cluster, not several.
    level
        Coverage of the intervals.
    rounding
        Change that is rounding, by the precision of the runs, see
        :data:`~prefiqs_jax.statistics.rounding.ROUNDING_AT`.
    on_progress
        Called with 1 after each network, mask and sparsity.

    Returns
    -------
    pandas.DataFrame
        Columns backbone, mask, sparsity, achieved_sparsity (if the rows have it),
        statistic (a key of ``STATISTICS``), value, low, high, images, below_rounding,
        clusters, resampled_by, caution. Images that moved by rounding only are counted
        as below_rounding, and left out of all else. Clusters are the identities where
        every row of that network and mask has one, otherwise the images; those are
        counted in which the statistic is defined. Correlations of fewer than 3 images
        are NaN, and so is every interval over fewer than 3 clusters, or of a
        correlation that is ±1 or undefined without one of them. The caution says in
        words what limits the line, and why an interval is missing; mostly it is empty.

    Raises
    ------
    InputError
        If there are no rows, an image has two rows at one sparsity, a distance is not
        finite, or the level is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"backbone": "toy", "mask": "global/magnitude",
    ...     "image": list("abcd"), "identity": None, "sparsity": 0.3,
    ...     "first_order": [0.1, 0.2, 0.3, 0.4], "drift": [0.1, 0.2, 0.3, 0.4],
    ...     "residual": 0.0, "cosine": 1.0})
    >>> table = summarise(rows)
    >>> table.loc[table.statistic == "slope", ["value", "low", "high"]].values.tolist()
    [[1.0, 1.0, 1.0]]
    """
    import pandas as pd

    _check(rows, level)
    derived = with_derived(rows, rounding)
    samples: list[tuple[pd.DataFrame, bool]] = []
    for _, run in derived.groupby(["backbone", "mask"], sort=False):
        by_identity = bool(run["identity"].notna().all())
        samples += [(part, by_identity) for _, part in run.groupby("sparsity")]
    tables = []
    # Threads, because NumPy works without the interpreter lock.
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        for lines in pool.map(
            lambda each: list(_level(each[0], each[1], level, rounding)), samples
        ):
            tables += lines
            if on_progress is not None:
                on_progress(1)
    return pd.DataFrame(tables)


def _check(rows: "pd.DataFrame", level: float) -> None:
    if len(rows) == 0:
        message = "no rows to summarise; run prefiqs sweep first"
        raise InputError(message)
    check_level(level)
    repeated = rows.duplicated(["backbone", "mask", "image", "sparsity"])
    if repeated.any():
        row = rows[repeated].iloc[0]
        message = (
            f"image {row['image']} has two rows at sparsity {row['sparsity']:g}; "
            "give each run once"
        )
        raise InputError(message)
    distances = rows[["first_order", "drift", "residual"]].to_numpy(np.float64)
    odd = ~np.isfinite(distances).all(axis=1)
    if odd.any():
        row = rows[odd].iloc[0]
        message = (
            f"image {row['image']} at sparsity {row['sparsity']:g} has a drift, first "
            "order or residual that is not finite; leave the image out"
        )
        raise InputError(message)


def _level(
    rows: "pd.DataFrame", by_identity: bool, level: float, rounding: float
) -> Iterator[dict[str, Any]]:
    """Summarise the rows of one network, mask and sparsity."""
    import pandas as pd

    kept = rows.loc[~rows["below_rounding"]]
    resampled_by = "identity" if by_identity else "image"
    by = "copy_of" if not by_identity and "copy_of" in rows else resampled_by
    # Sorted, so that the order of the rows decides nothing.
    clusters, names = pd.factorize(kept[by], sort=True)
    sample = Sample(*(kept[name].to_numpy(np.float64) for name in Sample._fields))
    shared = {name: rows[name].iloc[0] for name in ("backbone", "mask", "sparsity")}
    achieved = None
    if "achieved_sparsity" in rows:
        achieved = shared["achieved_sparsity"] = float(
            rows["achieved_sparsity"].iloc[0]
        )
    below = len(rows) - len(kept)
    if (
        rows["first_order"].to_numpy(np.float64).any()
    ):  # a change that makes no weight zero
        achieved = None
    note = rounding_note(below, len(rows), achieved, rounding)
    for name in STATISTICS:
        has = np.isfinite(_DEFINED[name](sample) if name in _DEFINED else sample.drift)
        known = Sample(*(column[has] for column in sample))
        own, found = np.unique(clusters[has], return_inverse=True)
        value, ends, why = estimate(name, known, found, level)
        words = list(note)
        if len(kept):
            words += caution(len(own), resampled_by, name=name, of=len(names))
            words += [f"{name} {why}"] if why else []
        yield {
            **shared,
            "statistic": name,
            "value": value,
            "low": ends[0],
            "high": ends[1],
            "images": len(kept),
            "below_rounding": below,
            "clusters": len(own),
            "resampled_by": resampled_by,
            "caution": "; ".join(words),
        }


def estimate(
    name: str, sample: Sample, clusters: NDArray[np.intp], level: float
) -> tuple[float, tuple[float, float], str]:
    """Compute a statistic and its interval, and say why one of them is missing."""
    none = (float("nan"), float("nan"))
    images = len(clusters)
    if images < _FEWEST_IMAGES and name in _CORRELATIONS:
        return float("nan"), none, f"takes {_FEWEST_IMAGES} images"
    everything = np.ones((1, images))
    value = float(STATISTICS[name](sample, everything)[0])
    if not np.isfinite(value):
        return value, none, "is not defined, because nothing varies or all is zero"
    groups = deletion_groups(clusters)
    count = int(groups.max()) + 1
    if count < FEWEST_FOR_INTERVAL:
        return value, none, ""  # said by the caution of few clusters
    if name in _MEDIANS:
        return value, median_interval(_MEDIANS[name](sample), groups, level=level), ""
    size = max(1, _CHUNK_NUMBERS // images)
    without = (
        kendall_without(sample.first_order, sample.drift, groups)
        if name == "kendall"
        else np.concatenate(
            [
                STATISTICS[name](
                    sample, without_each(groups, start, min(start + size, count))
                )
                for start in range(0, count, size)
            ]
        )
    )
    if not np.isfinite(without).all():
        return value, none, "has no interval: not defined without one of the clusters"
    scale = "fisher" if name in _FISHER else "linear"
    if scale == "fisher" and is_one(np.array([value, *without])).any():
        how = "is" if is_one(value) else "without one of the clusters is"
        return value, none, f"has no interval: it {how} exactly 1 or -1"
    low, high = map(float, jackknife_interval(value, without, level=level, scale=scale))
    if name in _RANKS:
        rho, tau = (float(STATISTICS[each](sample, everything)[0]) for each in _RANKS)
        low, high = with_rank_limits((low, high), name, rho, tau, images)
    return value, (low, high), ""
