"""Describe how values spread over the images: quantiles per sparsity, local density."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from prefiqs_jax.statistics.rounding import with_derived

if TYPE_CHECKING:
    import pandas as pd


def quantiles(
    rows: "pd.DataFrame",
    columns: Sequence[str] = ("first_order", "drift", "residual", "relative_residual"),
    levels: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
) -> "pd.DataFrame":
    """Tabulate quantiles over the images per network, mask and sparsity.

    Parameters
    ----------
    rows
        Rows of one or more runs. Images that moved by rounding only
        (:data:`~prefiqs_jax.statistics.rounding.ROUNDING`) are left out.
    columns
        Columns of the rows, or of :func:`~prefiqs_jax.statistics.with_derived`.
    levels
        Fractions in [0, 1].

    Returns
    -------
    pandas.DataFrame
        Columns backbone, mask, sparsity, achieved_sparsity (if the rows have it),
        quantity (one of ``columns``), images, below_rounding (those left out), and one
        per level: q05, q25, q50, … (linear interpolation, as ``numpy.quantile``; NaN
        without images).

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"backbone": "toy", "mask": "m", "sparsity": 0.1,
    ...     "drift": [1.0, 2.0, 3.0], "first_order": 1.0, "residual": 0.1})
    >>> quantiles(rows, ["drift"], [0.5]).q50.tolist()
    [2.0]
    """
    import pandas as pd

    names = [f"q{round(100 * level):02d}" for level in levels]
    entries = []
    index = ["backbone", "mask", "sparsity"]
    kept = [*index, *({"achieved_sparsity"} & set(rows.columns))]
    for _, group in with_derived(rows).groupby(index, sort=False):
        moved = group.loc[~group["below_rounding"]]
        shared: dict[str, object] = {name: group[name].iloc[0] for name in kept}
        left_out = len(group) - len(moved)
        for column in columns:
            values = moved[column].dropna().to_numpy(np.float64)
            found = np.full(len(levels), np.nan)
            if len(values):
                found = np.quantile(values, levels)
            numbers = dict(zip(names, found.tolist(), strict=True))
            counted = {"quantity": column, "images": len(values)}
            entries.append({**shared, **counted, "below_rounding": left_out, **numbers})
    table = pd.DataFrame(entries)
    return table.sort_values(index, kind="stable", ignore_index=True)


def point_density(
    x: Float[np.ndarray, " images"], y: Float[np.ndarray, " images"], bins: int = 128
) -> Float[np.ndarray, " images"]:
    """Estimate how crowded the plane is around each point, relative to the densest.

    Counts on a square grid over the data, smoothed by a Gaussian whose width is
    Scott's rule for two dimensions, read at the points.

    Parameters
    ----------
    x, y
        Shape (images,), finite.
    bins
        Cells along each axis.

    Returns
    -------
    ndarray
        Shape (images,), in (0, 1]; 1 is the densest point. All 1 where x or y is
        constant.

    Notes
    -----
    For colouring a scatter plot only: the bandwidth fits a cloud with one centre.

    References
    ----------
    Scott (1992). Multivariate Density Estimation, section 6.3.

    Examples
    --------
    >>> at = np.array([0.0, 0.0, 0.0, 1.0])
    >>> bool(point_density(at, at)[0] > point_density(at, at)[3])
    True
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.ones(len(x))
    counts, x_edges, y_edges = np.histogram2d(x, y, bins=bins)
    cell = np.array([x_edges[1] - x_edges[0], y_edges[1] - y_edges[0]])
    spread = np.array([np.std(x), np.std(y)]) / cell * len(x) ** (-1 / 6)
    smooth = gaussian_filter(counts, np.clip(spread, 1.0, bins / 4), mode="constant")
    places = [(x - x_edges[0]) / cell[0] - 0.5, (y - y_edges[0]) / cell[1] - 0.5]
    found = map_coordinates(smooth, places, order=1, mode="nearest")
    return np.maximum(found, np.finfo(np.float64).tiny) / found.max()
