"""What a figure shows, in words: the numbers at its ends."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def ends(
    table: "pd.DataFrame", column: str, *, by: str = "sparsity", form: str = ".3g"
) -> str:
    """Write the values of a column at the lowest and the highest abscissa.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"sparsity": [0.4, 0.1], "value": [0.2, 0.01]})
    >>> ends(table, "value")
    '0.01 at sparsity 0.1, 0.2 at 0.4'
    """
    known = table.loc[table[column].notna(), [by, column]].sort_values(by)
    if not len(known):
        return "not defined"
    (low, first), *_ = pairs = known.to_numpy(float).tolist()
    text = f"{first:{form}} at {by.replace('_', ' ')} {low:.3g}"
    if len(pairs) > 1:
        high, last = pairs[-1]
        text += f", {last:{form}} at {high:.3g}"
    return text


def ends_of_each(
    table: "pd.DataFrame",
    key: str,
    column: str,
    names: "Sequence[tuple[object, str]] | None" = None,
    *,
    by: str = "sparsity",
) -> str:
    """Write the same for each line of a figure, by the values of a column.

    Names are those values and what they are called; None = all, by their own names.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"mask": ["a", "b"], "sparsity": 0.5, "drift": [1.0, 2.0]})
    >>> ends_of_each(table, "mask", "drift")
    'a: 1 at sparsity 0.5; b: 2 at sparsity 0.5.'
    """
    if names is None:
        names = [(each, str(each)) for each in dict.fromkeys(table[key])]
    told = [
        f"{name}: {ends(own, column, by=by)}"
        for each, name in names
        if len(own := table.loc[table[key] == each])
    ]
    return f"{'; '.join(told)}."


def extremes(table: "pd.DataFrame", column: str, name: str) -> str:
    """Write the smallest and the largest value of a column and whose they are.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"layer": ["fc", "conv"], "lost": [0.5, 0.1]})
    >>> extremes(table, "lost", "layer")
    'from 0.1 (conv) to 0.5 (fc)'
    """
    known = table.loc[table[column].notna()]
    if not len(known):
        return "not defined"
    low, high = (known.loc[known[column].agg(end)] for end in ("idxmin", "idxmax"))
    return f"from {low[column]:.3g} ({low[name]}) to {high[column]:.3g} ({high[name]})"
