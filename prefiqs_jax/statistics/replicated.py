"""What is compared between masks: each statistic, and without one person at a time.

All masks see the same replicates, so that their differences are paired.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from prefiqs_jax.statistics.agreement import mean_cosine
from prefiqs_jax.statistics.correlation import spearman
from prefiqs_jax.statistics.jackknife import without_each
from prefiqs_jax.statistics.separation import auroc, moved_drift
from prefiqs_jax.statistics.weighted import ratio

if TYPE_CHECKING:
    import pandas as pd

LOWER_IS_BETTER = {
    "relative_residual": True,
    "spearman": False,
    "mean_cosine": False,
    "separation": False,
}
"""Statistics by which masks are compared, and whether less of it is better.

The relative residual is compared by its geometric mean over the images, as a ratio: a
smooth statistic, whose jackknife is consistent where that of a median is not, and an
image that is predicted twice as well counts the same wherever it stands.
"""
RATIOS = frozenset({"relative_residual"})
"""Statistics that are compared by their ratio; they are kept as logarithms."""
LOG_DRIFT = "log_mean_drift"

Replicates: TypeAlias = Mapping[str, Float[np.ndarray, " replicates"]]
"""A statistic, or ``LOG_DRIFT``, to its values: on all images, then without each group
of people; NaN where it is not defined."""
# Numbers of one weight matrix held at once (8 MB).
_CHUNK_NUMBERS = 2**20


class Images(NamedTuple):
    """One mask at one sparsity, image by image, in one order for all of them."""

    first_order: NDArray[np.float64]
    drift: NDArray[np.float64]
    cosine: NDArray[np.float64]
    log_residual: NDArray[np.float64]
    """Logarithm of the relative residual, NaN where that is not defined or 0."""
    moved: NDArray[np.bool_]
    """Whether it moved above rounding."""
    severity: NDArray[np.float64]
    """0 = clean, NaN = unknown."""
    places: NDArray[np.intp]
    """Which images of the run these are."""


def images_of(rows: "pd.DataFrame", places: Int[np.ndarray, " images"]) -> Images:
    """Take the columns of rows of one mask and sparsity, with derived ones."""
    order = np.argsort(places)
    rows = rows.iloc[order]
    relative = rows["relative_residual"].to_numpy(np.float64)
    logs = np.full(len(relative), np.nan)
    np.log(relative, out=logs, where=relative > 0)
    unknown = np.full(len(rows), np.nan)
    return Images(
        first_order=rows["first_order"].to_numpy(np.float64),
        drift=moved_drift(rows),
        cosine=rows["cosine"].to_numpy(np.float64),
        log_residual=logs,
        moved=~rows["below_rounding"].to_numpy(bool),
        severity=rows["severity"].to_numpy(np.float64)
        if "severity" in rows
        else unknown,
        places=places[order],
    )


def replicate(
    images: Images,
    groups: Int[np.ndarray, " run_images"],
    *,
    among: Bool[np.ndarray, " run_images"] | None = None,
) -> Replicates:
    """Compute every statistic, with all images and without each group.

    Parameters
    ----------
    images
        One mask at one sparsity.
    groups
        Shape (images of the run,): which are left out together, from 0.
    among
        Shape (images of the run,): agreement is computed of these only; None = all that
        moved above rounding.
    """
    count = int(groups.max()) + 1
    own = groups[images.places]
    kept = images.moved if among is None else images.moved & among[images.places]
    logs = kept & np.isfinite(images.log_residual)
    told = np.isfinite(images.severity)
    size = max(1, _CHUNK_NUMBERS // max(1, len(own)))
    parts: dict[str, list[NDArray[np.float64]]] = {}
    ends = [(0, 0)]
    ends += [(start, min(start + size, count)) for start in range(0, count, size)]
    for first, last in ends:
        weights = without_each(own, first, last) if last else np.ones((1, len(own)))
        drift = _mean(images.drift, kept, weights)
        log_drift = np.full(len(drift), np.nan)
        np.log(drift, out=log_drift, where=drift > 0)
        found = {
            LOG_DRIFT: log_drift,
            "relative_residual": _mean(images.log_residual, logs, weights),
            "spearman": _spearman(images, kept, weights),
            "mean_cosine": mean_cosine(images.cosine[kept], weights[:, kept]),
            "separation": _separation(images, told, weights),
        }
        for name, values in found.items():
            parts.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


def _mean(
    values: NDArray[np.float64],
    chosen: NDArray[np.bool_],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    used = weights[:, chosen]
    return ratio(np.einsum("ri,i->r", used, values[chosen]), used.sum(axis=1))


def _spearman(
    images: Images, kept: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    if kept.sum() < 3:
        return np.full(len(weights), np.nan)
    return spearman(images.first_order[kept], images.drift[kept], weights[:, kept])


def _separation(
    images: Images, told: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    degraded = images.severity[told] > 0
    if not images.moved.any() or degraded.all() or not degraded.any():
        return np.full(len(weights), np.nan)
    return auroc(images.drift[told], degraded, weights[:, told])
