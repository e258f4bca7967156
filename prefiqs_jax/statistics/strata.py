"""The same statistics within groups of like images, where a mixture cannot flatter.

A correlation over clean and badly degraded images together is high already if the first
order tells the two kinds apart; within either kind it may say nothing.
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.rounding import with_derived
from prefiqs_jax.statistics.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

DRIFT_QUARTILE = "drift-quartile"
"""Computed strata: quarters of the images by their drift, at each sparsity."""
SEVERITY = "severity"
_MOST_VALUES = 8
_UNKNOWN = "unknown"


def within_strata(
    rows: "pd.DataFrame", columns: Sequence[str], *, level: float = 0.95
) -> "pd.DataFrame":
    """Summarise the rows stratum by stratum.

    Parameters
    ----------
    rows
        Rows of one or more runs, with further columns of the images, or of any rows.
    columns
        What to stratify by, each on its own: a column of the rows, or
        ``"drift-quartile"``. A severity is cut at 0, 1/3 and 2/3; another column of
        numbers with more than eight values at its quartiles.
    level
        Coverage of the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns strata (the column), stratum, and those of :func:`summarise`. Strata of
        numbers ascend.

    Raises
    ------
    InputError
        If a column is missing or gives every row a stratum of its own; and as
        :func:`summarise` does.

    Notes
    -----
    Cutting by drift itself narrows its range, which lowers any correlation: compare
    the quarters with each other, not with the pooled number.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"backbone": "toy", "mask": "m", "image": list("abcdef"),
    ...     "identity": None, "sparsity": 0.3, "first_order": [1, 2, 3, 3, 2, 1.0],
    ...     "drift": [1, 2, 3, 1, 2, 3.0], "residual": 0.1, "cosine": 1.0,
    ...     "glasses": list("nnnyyy")})
    >>> table = within_strata(rows, ["glasses"])
    >>> table.loc[table.statistic == "spearman", "value"].round(6).tolist()
    [1.0, -1.0]
    """
    import pandas as pd

    tables = []
    for column in columns:
        labels, order = _labels(rows, column)
        for stratum in order:
            table = summarise(rows.loc[labels == stratum], level=level)
            table.insert(0, "stratum", stratum)
            table.insert(0, "strata", column)
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _labels(rows: "pd.DataFrame", column: str) -> tuple[np.ndarray, list[str]]:
    """Give each row its stratum, and the strata in their order."""
    import pandas as pd

    if column == DRIFT_QUARTILE:
        return _by_drift(rows)
    if column not in rows:
        known = ", ".join([*map(str, rows.columns), DRIFT_QUARTILE])
        message = f"there is no column {column} to stratify by; there are: {known}"
        raise InputError(message)
    values = pd.Series(rows[column])
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        edges = np.unique(values.dropna().to_numpy(np.float64))
        if column == SEVERITY and edges.size and 0 <= edges[0] <= edges[-1] <= 1:
            edges = np.array([0, 1 / 3, 2 / 3, 1])
            return _cut(values, edges, ["to 1/3", "1/3 to 2/3", "above 2/3"])
        if edges.size > _MOST_VALUES:
            edges = np.unique(np.quantile(values.dropna(), [0, 0.25, 0.5, 0.75, 1]))
            names = [f"{a:.3g} to {b:.3g}" for a, b in itertools.pairwise(edges)]
            return _cut(values, edges, names)
        text = values.map(lambda one: _UNKNOWN if pd.isna(one) else f"{one:g}")
        order = [f"{edge:g}" for edge in edges]
    else:
        text = values.map(lambda one: _UNKNOWN if pd.isna(one) else str(one))
        order = sorted(set(text) - {_UNKNOWN})
        if len(order) == rows["image"].nunique() > 1:
            message = f"every image has a {column} of its own: no strata"
            raise InputError(message)
    labels = text.to_numpy(str)
    return labels, order + [_UNKNOWN] * bool((labels == _UNKNOWN).any())


def _cut(
    values: "pd.Series", edges: np.ndarray, names: list[str]
) -> tuple[np.ndarray, list[str]]:
    """Cut numbers at inner edges, which belong below; a severity of 0 stands alone."""
    numbers = values.to_numpy(np.float64, na_value=np.nan)
    place = np.searchsorted(edges[1:-1], numbers)
    labels = np.array(names, dtype=object)[place]
    order = list(names)
    if values.name == SEVERITY:
        labels[numbers == 0] = "0"
        order = ["0", *names]
    labels[np.isnan(numbers)] = _UNKNOWN
    return labels, [name for name in [*order, _UNKNOWN] if (labels == name).any()]


def _by_drift(rows: "pd.DataFrame") -> tuple[np.ndarray, list[str]]:
    """Deal the rows of each network, mask and sparsity into quarters of their drift."""
    derived = with_derived(rows)
    moved = derived["drift"].where(~derived["below_rounding"])
    index = [derived[name] for name in ("backbone", "mask", "sparsity")]
    # Ties in drift go together into the lower quarter that their mean rank falls in.
    fraction = moved.groupby(index).rank(pct=True)
    quarter = np.ceil(4 * fraction.to_numpy(np.float64))
    names = ["1 (least drift)", "2", "3", "4 (most drift)"]
    labels = np.full(len(rows), "moved by rounding only", dtype=object)
    for place, name in enumerate(names, start=1):
        labels[quarter == place] = name
    return labels, [name for name in names if (labels == name).any()]
