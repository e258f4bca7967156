"""Tables of an evaluation: as papers lay them out, and as lines of Markdown."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

THOUSANDTHS = 1000
"""Papers print areas times this."""
NOT_IN_MEAN = "xqlfw"
"""Kind or name of the benchmark that papers leave out of the mean: its pairs were
chosen by the scores of SER-FIQ."""


def paper_table(areas: "pd.DataFrame", fmr: float, verifier: str) -> "pd.DataFrame":
    """Lay areas out as papers do: a row for each quality, a column for each benchmark.

    Parameters
    ----------
    areas
        Columns benchmark, kind, verifier, scorer, quality, fmr, pauc and tells.
    fmr
        Rate of the areas to show.
    verifier
        Network whose errors they are.

    Returns
    -------
    pandas.DataFrame
        Index scorer and quality; a column for each benchmark, in the order of the
        areas, and ``mean`` over all but ``NOT_IN_MEAN``, where every one of them has an
        area. All times 1000. A benchmark with too few errors to tell qualities apart
        has NaN, and is left out of the mean.
    """
    rows = areas.loc[(areas["fmr"] == fmr) & (areas["verifier"] == verifier)]
    order = rows[["scorer", "quality"]].drop_duplicates()
    told = rows.assign(pauc=rows["pauc"].where(rows["tells"]))
    table = told.pivot(index=["scorer", "quality"], columns="benchmark", values="pauc")
    benchmarks = list(dict.fromkeys(rows["benchmark"]))
    index = list(order.itertuples(index=False, name=None))
    table = THOUSANDTHS * table.reindex(index)[benchmarks]
    kinds = dict(zip(rows["benchmark"], rows["kind"], strict=True))
    silent = set(rows.loc[~rows["tells"], "benchmark"])
    in_mean = [
        name
        for name in benchmarks
        if NOT_IN_MEAN not in (kinds[name], name.lower()) and name not in silent
    ]
    if in_mean:
        # Means over different sets could not be compared.
        table["mean"] = table[in_mean].mean(axis=1, skipna=False)
    table.columns.name = None
    return table


def markdown(table: "pd.DataFrame", digits: int = 3) -> str:
    r"""Write a table as lines of Markdown, its index first.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"lfw": [1.5]}, index=pd.Index(["norm"], name="quality"))
    >>> print(markdown(table))
    | quality | lfw |
    |---|---|
    | norm | 1.500 |
    """
    flat = table.reset_index()
    rows = [flat.columns, *flat.itertuples(index=False, name=None)]
    cells = [
        [_cell(value, digits).replace("|", "\\|") for value in row] for row in rows
    ]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(flat.columns), *lines[1:]])


def _cell(value: object, digits: int) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return f"{value:.{digits}f}" if np.isfinite(value) else "–"
    return str(value)
