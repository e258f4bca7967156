"""The same statistics within strata of images.

A correlation over clean and badly degraded images together is high already if the first
order tells the two kinds apart; within either kind it may say nothing.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.rounding import ROUNDING, with_derived
from prefiqs_jax.statistics.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

DRIFT_QUARTILE = "drift-quartile"
"""Computed strata: quarters of the images by their drift, at each sparsity."""
SEVERITY = "severity"
_MOST_VALUES = 8
_UNKNOWN = "unknown"


def within_strata(
    rows: "pd.DataFrame",
    columns: Sequence[str],
    *,
    level: float = 0.95,
    rounding: float = ROUNDING,
    on_progress: Callable[[int], object] | None = None,
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
    level, rounding, on_progress
        As for :func:`summarise`; progress is of each stratum.

    Returns
    -------
    pandas.DataFrame
        Columns strata (the column), stratum (a name of its own for each), and those of
        :func:`summarise`. Strata of numbers ascend.

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
        for name, part in strata_of(rows, column, rounding):
            table = summarise(
                part, level=level, rounding=rounding, on_progress=on_progress
            )
            table.insert(0, "stratum", name)
            table.insert(0, "strata", column)
            tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def strata_of(
    rows: "pd.DataFrame", column: str, rounding: float = ROUNDING
) -> "Iterator[tuple[str, pd.DataFrame]]":
    """Yield the name and the rows of each stratum, as :func:`within_strata` cuts."""
    codes, names = _strata(rows, column, rounding)
    for code, name in enumerate(names):
        if (codes == code).any():
            yield name, rows.loc[codes == code]


def _strata(
    rows: "pd.DataFrame", column: str, rounding: float
) -> tuple[NDArray[np.intp], list[str]]:
    """Give each row the number of its stratum, and the strata their names."""
    import pandas as pd

    if column == DRIFT_QUARTILE:
        return _by_drift(rows, rounding)
    if column not in rows:
        known = ", ".join([*map(str, rows.columns), DRIFT_QUARTILE])
        message = f"there is no column {column} to stratify by; there are: {known}"
        raise InputError(message)
    values = pd.Series(rows[column])
    is_number = pd.api.types.is_numeric_dtype(values)
    if not is_number or pd.api.types.is_bool_dtype(values):
        values = values.map(lambda one: None if pd.isna(one) else str(one))
        values = values.where(values != _UNKNOWN)
        codes, found = pd.factorize(values, sort=True)
        if len(found) == rows["image"].nunique() > 1:
            message = f"every image has a {column} of its own: no strata"
            raise InputError(message)
        names = list(found)
    else:
        codes, found = pd.factorize(values, sort=True)
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        if column == SEVERITY and len(found) and 0 <= found[0] <= found[-1] <= 1:
            codes = np.searchsorted([0, 1 / 3, 2 / 3], numbers)
            names = ["0", "to 1/3", "1/3 to 2/3", "above 2/3"]
        elif len(found) > _MOST_VALUES:
            known = numbers[~np.isnan(numbers)]
            # Between a number and infinity there is no middle.
            method = "linear" if np.isfinite(known).all() else "lower"
            cuts = np.quantile(known, [0, 0.25, 0.5, 0.75, 1], method=method)
            edges = np.unique(cuts)
            codes = np.searchsorted(edges[1:-1], numbers)
            ends = itertools.pairwise(_told_apart(edges.tolist(), 3))
            names = [f"{low} to {high}" for low, high in ends]
        else:
            names = _told_apart(found.tolist(), 6)
    codes = np.where(values.isna(), len(names), codes)
    return codes, [*names, _UNKNOWN]


def _told_apart(numbers: Iterable[float], digits: int) -> list[str]:
    """Write numbers with as many digits as it takes to tell them apart.

    >>> _told_apart([0.5, 2.0], 3), _told_apart([20240101, 20240102], 6)
    (['0.5', '2'], ['20240101', '20240102'])
    """
    numbers = list(numbers)
    for used in range(digits, 18):
        names = [f"{number:.{used}g}" for number in numbers]
        if len(set(names)) == len(names) and not any("e+" in name for name in names):
            return names
    return [str(number) for number in numbers]


def _by_drift(
    rows: "pd.DataFrame", rounding: float
) -> tuple[NDArray[np.intp], list[str]]:
    """Divide the rows of each network, mask and sparsity into quarters by drift."""
    derived = with_derived(rows, rounding)
    moved = derived["drift"].where(~derived["below_rounding"])
    index = [derived[name] for name in ("backbone", "mask", "sparsity")]
    # Ties in drift go together into the lower quarter that their mean rank falls in.
    fraction = moved.groupby(index).rank(pct=True)
    quarter = np.ceil(4 * fraction.to_numpy(np.float64))
    # Images that moved by rounding only are in none of them.
    codes = np.where(np.isnan(quarter), 0, quarter).astype(np.intp) - 1
    return codes, ["1 (least drift)", "2", "3", "4 (most drift)"]
