"""For how many of the images a Taylor sum holds, at every sparsity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL
from prefiqs_jax.statistics.jackknife import deletion_groups
from prefiqs_jax.statistics.quantile_interval import share_interval
from prefiqs_jax.statistics.reach import TOLERANCE, clustered_by
from prefiqs_jax.statistics.rounding import ROUNDING, with_derived

if TYPE_CHECKING:
    import pandas as pd


def held_shares(
    rows: "pd.DataFrame",
    columns: Sequence[str] = ("residual",),
    *,
    tolerance: float = TOLERANCE,
    level: float = 0.95,
    rounding: float = ROUNDING,
) -> "pd.DataFrame":
    """Tabulate the share of images whose relative error is within a tolerance.

    Parameters
    ----------
    rows
        Rows of one network and mask.
    columns
        What is divided by the drift of the same image: residual (the first order's),
        second_order_residual or third_order_residual.
    tolerance
        Largest relative error, above 0.
    level
        Coverage of each interval, by person:
        :func:`~prefiqs_jax.statistics.quantile_interval.share_interval`.
    rounding
        As for :func:`~prefiqs_jax.statistics.summarise`.

    Returns
    -------
    pandas.DataFrame
        Columns sparsity, achieved_sparsity, quantity (of ``columns``), tolerance,
        share, low, high, images, clusters, resampled_by. Images that moved by rounding
        only are left out; an interval takes 3 people.

    Raises
    ------
    InputError
        If the tolerance is not above 0.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"image": list("abcd"), "sparsity": 0.3, "drift": 1.0,
    ...     "achieved_sparsity": 0.3, "first_order": 1.0,
    ...     "residual": [0.05, 0.1, 0.2, 0.01]})
    >>> held_shares(rows)["share"].tolist()
    [0.75]
    """
    import pandas as pd

    if not tolerance > 0:
        message = f"tolerance {tolerance:g}: give one above 0"
        raise InputError(message)
    by, unit = clustered_by(rows)
    lines: list[dict[str, Any]] = []
    for sparsity, part in with_derived(rows, rounding).groupby("sparsity"):
        moved = part.loc[~part["below_rounding"] & (part["drift"] > 0)]
        codes = pd.factorize(moved[by], sort=True)[0]
        groups, count = deletion_groups(codes), len(set(codes.tolist()))
        for column in columns:
            held = moved[column].to_numpy(np.float64) <= tolerance * moved["drift"]
            low = high = float("nan")
            if count >= FEWEST_FOR_INTERVAL:
                low, high = share_interval(held.to_numpy(), groups, level=level)
            lines.append(
                {
                    "sparsity": sparsity,
                    "achieved_sparsity": part["achieved_sparsity"].iloc[0],
                    "quantity": column,
                    "tolerance": tolerance,
                    "share": float(held.mean()) if len(held) else np.nan,
                    "low": low,
                    "high": high,
                    "images": len(held),
                    "clusters": count,
                    "resampled_by": unit,
                }
            )
    return pd.DataFrame(lines)
