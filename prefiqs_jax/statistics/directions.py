"""What a sweep measures of its directions, in numbers with intervals."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.statistics.by_sparsity import by_sparsity
from prefiqs_jax.statistics.on_request import relative_medians
from prefiqs_jax.statistics.rounding import ROUNDING
from prefiqs_jax.statistics.summary import Sample, estimate

if TYPE_CHECKING:
    import pandas as pd


def validity_medians(
    rows: "pd.DataFrame", *, smallest: float, rounding: float = ROUNDING
) -> "pd.DataFrame":
    """Tabulate how the first order's remainder grows and up to which t it is small.

    Parameters
    ----------
    rows
        Rows of one network and mask, with the columns slope and valid_t.
    smallest
        Smallest t at which the remainder was measured: a valid_t of 0 is below it.
    rounding
        As for :func:`~prefiqs_jax.statistics.summarise`. It holds for what the numbers
        are made of, too: slopes are known where the remainder at t = 1/2 is above it,
        and valid_t where the change at the smallest t is.

    Returns
    -------
    pandas.DataFrame
        Columns of :func:`~prefiqs_jax.statistics.relative_medians`, with the quantities
        slope and valid_t; and of the latter at_zero and at_one, the numbers of images
        whose valid_t is below the smallest t, and 1 or more. A median or an end of an
        interval at 0 or 1 is a bound, too.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"image": list("abc"), "sparsity": 0.3, "first_order": 1.0,
    ...     "achieved_sparsity": 0.3, "drift": 1.0, "residual": [0.4, 0.2, 1e-5],
    ...     "slope": [2.0, 1.8, 0.1], "valid_t": [0.0, 0.5, 1.0]})
    >>> table = validity_medians(rows, smallest=1 / 16).set_index("quantity")
    >>> table["value"].tolist(), table.loc["valid_t", ["at_zero", "at_one"]].tolist()
    ([1.9, 0.5], [1.0, 1.0])
    """
    half = rows["residual"] / 2 ** rows["slope"]
    known = rows.assign(
        slope=rows["slope"].where(half > rounding),
        valid_t=rows["valid_t"].where(smallest * rows["first_order"] > rounding),
    )
    table = relative_medians(known, ["slope", "valid_t"], over=None, rounding=rounding)
    table[["at_zero", "at_one"]] = np.nan
    of_t = table["quantity"] == "valid_t"
    for sparsity, level in known.groupby("sparsity"):
        values = level["valid_t"].to_numpy(np.float64)
        line = of_t & (table["sparsity"] == sparsity)
        table.loc[line, "at_zero"] = np.sum(values == 0)
        table.loc[line, "at_one"] = np.sum(values >= 1)
    return table


def rank_correlations(
    rows: "pd.DataFrame",
    pairs: Sequence[tuple[str, str]],
    *,
    level: float = 0.95,
    rounding: float = ROUNDING,
) -> "pd.DataFrame":
    """Tabulate Spearman's correlation of pairs of columns over images, by sparsity.

    Parameters
    ----------
    rows
        Rows of one network and mask.
    pairs
        Names of the two columns of each.
    level
        Coverage of each interval, by person, made as
        :func:`~prefiqs_jax.statistics.summarise` makes that of first order and drift.
    rounding
        As there.

    Returns
    -------
    pandas.DataFrame
        Columns sparsity, achieved_sparsity, quantity (``"ONE, OTHER"``), value, low,
        high, images, clusters, resampled_by. Images that moved by rounding only are
        left out. NaN for fewer than 3 images, and where nothing varies.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"image": list("abcd"), "sparsity": 0.3, "residual": 0.1,
    ...     "achieved_sparsity": 0.3, "drift": 1.0, "first_order": [1, 2, 3, 4.0],
    ...     "metric_trace": [1, 2, 4, 3.0]})
    >>> table = rank_correlations(rows, [("metric_trace", "first_order")])
    >>> table["quantity"].tolist(), table["value"].round(6).tolist()
    (['metric_trace, first_order'], [0.8])
    """
    named = {", ".join(pair): list(pair) for pair in pairs}

    def correlated(
        values: np.ndarray, groups: np.ndarray
    ) -> tuple[float, float, float]:
        sample = Sample(*values, *values)
        value, ends, _ = estimate("spearman", sample, groups, level)
        return value, *ends

    return by_sparsity(
        rows,
        named,
        lambda moved, name: moved[named[name]].to_numpy(np.float64).T,
        correlated,
        rounding=rounding,
    )
