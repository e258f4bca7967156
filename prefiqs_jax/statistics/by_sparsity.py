"""An estimate with its interval at every sparsity: what several tables share."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL
from prefiqs_jax.statistics.jackknife import deletion_groups
from prefiqs_jax.statistics.reach import clustered_by
from prefiqs_jax.statistics.rounding import with_derived

if TYPE_CHECKING:
    import pandas as pd

Values = Callable[["pd.DataFrame", str], ArrayLike]
Estimate = Callable[[NDArray[np.float64], NDArray[np.intp]], tuple[float, float, float]]


def by_sparsity(
    rows: "pd.DataFrame",
    quantities: Iterable[str],
    values: Values,
    estimate: Estimate,
    *,
    rounding: float,
) -> "pd.DataFrame":
    """Tabulate an estimate of each quantity over the images of each sparsity.

    Parameters
    ----------
    rows
        Rows of one network and mask.
    quantities
        Their names.
    values
        ``(rows of a sparsity, quantity) -> (..., images)``; an image with a value that
        is not finite is left out of that quantity.
    estimate
        ``(values, groups) -> (value, low, high)`` of one image or more; groups are
        those of :func:`~prefiqs_jax.statistics.deletion_groups`, of people.
    rounding
        As for :func:`~prefiqs_jax.statistics.summarise`; images that moved by no more
        are left out.

    Returns
    -------
    pandas.DataFrame
        Columns sparsity, achieved_sparsity, quantity, value, low, high (NaN for fewer
        than 3 people), images, clusters, resampled_by.
    """
    import pandas as pd

    by, unit = clustered_by(rows)
    names = list(quantities)
    lines: list[dict[str, Any]] = []
    for sparsity, part in with_derived(rows, rounding).groupby("sparsity"):
        moved = part.loc[~part["below_rounding"] & (part["drift"] > 0)]
        for name in names:
            found = np.asarray(values(moved, name), np.float64)
            known = np.isfinite(found).all(axis=tuple(range(found.ndim - 1)))
            groups, count = image_groups(moved.loc[known], by)
            value = low = high = float("nan")
            if count:
                value, low, high = estimate(found[..., known], groups)
            if count < FEWEST_FOR_INTERVAL:
                low = high = float("nan")
            lines.append(
                {
                    "sparsity": sparsity,
                    "achieved_sparsity": part["achieved_sparsity"].iloc[0],
                    "quantity": name,
                    "value": value,
                    "low": low,
                    "high": high,
                    "images": int(known.sum()),
                    "clusters": count,
                    "resampled_by": unit,
                }
            )
    return pd.DataFrame(lines)


def image_groups(rows: "pd.DataFrame", by: str) -> tuple[NDArray[np.intp], int]:
    """Give the group that each image is left out with, and the number of clusters."""
    import pandas as pd

    codes = pd.factorize(rows[by], sort=True)[0]
    return deletion_groups(codes), len(np.unique(codes))
