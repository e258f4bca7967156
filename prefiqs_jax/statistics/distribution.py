"""Describe how values spread over the images: quantiles per sparsity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.statistics.rounding import ROUNDING, with_derived

if TYPE_CHECKING:
    import pandas as pd


def quantiles(
    rows: "pd.DataFrame",
    columns: Sequence[str] = ("first_order", "drift", "residual", "relative_residual"),
    levels: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95),
    *,
    rounding: float = ROUNDING,
) -> "pd.DataFrame":
    """Tabulate quantiles over the images per network, mask and sparsity.

    Parameters
    ----------
    rows
        Rows of one or more runs. Images that moved by rounding only are left
        out.
    columns
        Columns of the rows, or of :func:`~prefiqs_jax.statistics.with_derived`.
    levels
        Fractions in [0, 1].
    rounding
        As for :func:`~prefiqs_jax.statistics.summarise`.

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
    for _, group in with_derived(rows, rounding).groupby(index, sort=False):
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
