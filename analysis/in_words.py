"""Numbers in words: values with intervals, ranges over runs, rows of a table."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 0.3
"""Sparsity that is drawn where only one is, or the nearest to it."""


def pick(table: "pd.DataFrame", **keys: Any) -> "pd.DataFrame":
    """Choose lines by the values of columns."""
    for name, value in keys.items():
        table = table.loc[table[name] == value]
    return table


def main_stratum(table: "pd.DataFrame") -> str:
    """Name the stratum that is spoken of: clean images where they are known."""
    return "clean" if "clean" in set(table["stratum"]) else "all"


def nearest(sparsities: Iterable[float]) -> float:
    """Choose the sparsity that is drawn where only one is."""
    return min(sparsities, key=lambda sparsity: abs(sparsity - SHOWN))


def most(table: "pd.DataFrame", name: str) -> int:
    """Give the largest count of a column."""
    return int(np.max(table[name].to_numpy()))


def told(line: Any, form: str = ".2g") -> str:
    """Write a value with its interval.

    >>> told({"value": 0.3512, "low": 0.33, "high": 0.372})
    '0.35 [0.33, 0.37]'
    >>> told({"value": 0.2, "low": float("nan"), "high": float("nan")}, ".0%")
    '20% (no interval)'
    """
    if not np.isfinite([line["low"], line["high"]]).all():
        return f"{line['value']:{form}} (no interval)"
    return f"{line['value']:{form}} [{line['low']:{form}}, {line['high']:{form}}]"


def from_to(lines: Sequence[Any], form: str) -> str:
    """Write the values at the lowest and the highest sparsity, or the only one.

    >>> lines = [{"value": v, "low": 0.1, "high": 0.3, "sparsity": v} for v in (1, 2)]
    >>> from_to(lines, ".1f"), from_to(lines[:1], ".1f")
    ('1.0 [0.1, 0.3] → 2.0 [0.1, 0.3]', '1.0 [0.1, 0.3]')
    >>> from_to([], ".1f")
    '–'
    """
    ordered = sorted(lines, key=lambda line: line["sparsity"])
    each = [told(line, form) for line in ordered]
    return " → ".join([each[0], *each[1:][-1:]]) if each else "–"


def span(values: Iterable[float], form: str) -> str:
    """Write the least and the largest value.

    >>> span([0.4, 0.7, float("nan")], ".1f"), span([2], "g"), span([], "g")
    ('0.4 to 0.7', '2', '–')
    """
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return "–"
    both = [format(min(known), form), format(max(known), form)]
    return both[0] if both[0] == both[1] else " to ".join(both)


def at_ends(runs: Iterable[Sequence[Any]], form: str) -> str:
    """Write the span over runs of the values at the lowest and at the highest sparsity.

    >>> runs = [[{"value": 1}, {"value": 3}], [{"value": 2}, {"value": 3}], []]
    >>> at_ends(runs, "g"), at_ends([runs[0][:1]], "g")
    ('1 to 2 at the lowest sparsity and 3 at the highest', '1')
    """
    known = [lines for lines in runs if lines]
    low, high = (
        span([lines[end]["value"] for lines in known], form) for end in (0, -1)
    )
    if all(len(lines) == 1 for lines in known):
        return low
    return f"{low} at the lowest sparsity and {high} at the highest"


def told_count(lines: Iterable[Any]) -> str:
    """Count the lines with an interval, which alone can be significant.

    >>> line = {"low": 1.0, "high": 2.0}
    >>> told_count([line, line | {"low": float("nan")}]), told_count([])
    ('1', '0 (no intervals)')
    """
    known = [x for x in lines if np.isfinite([x["low"], x["high"]]).all()]
    return f"{len(known)}" if known else "0 (no intervals)"


def listed(words: Sequence[str]) -> str:
    """Join words.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def records(table: "pd.DataFrame", **keys: Any) -> list[dict[Any, Any]]:
    """Choose lines by the values of columns, in the order of their sparsity."""
    return pick(table, **keys).sort_values("sparsity", kind="stable").to_dict("records")


def title(part: "pd.DataFrame") -> str:
    """Name run, network and mask, each once.

    >>> import pandas as pd
    >>> title(pd.DataFrame({"run": ["att"], "backbone": "sface", "mask": "2:4/snip"}))
    'att (sface), 2:4/snip'
    """
    run, backbone, mask = (
        str(part[name].iloc[0]) for name in ("run", "backbone", "mask")
    )
    run = run.removesuffix("_" + mask.replace("/", "_"))
    network = "" if run in backbone or backbone in run else f" ({backbone})"
    return f"{run}{network}, {mask}"


def rows_of(table: "pd.DataFrame", *by: str) -> list["pd.DataFrame"]:
    """Give the lines of each run and mask, and of each value of more columns."""
    return [part for _, part in table.groupby(["run", "mask", *by], sort=False)]


def asked(part: "pd.DataFrame") -> dict[str, str]:
    """Say which run, network and mask a row is of, and of how many images."""
    own = pick(part, stratum=main_stratum(part))
    kind = " clean" if main_stratum(part) == "clean" else ""
    swept = part["sparsity"].dropna()
    ends = dict.fromkeys((swept.min(), swept.max()))
    return {
        "run": title(part),
        "images": f"{most(own, 'images')}{kind} of {most(own, 'people')} people",
        "sparsity": " → ".join(f"{end:g}" for end in ends),
    }


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Write rows as a table; all have the headings of the first.

    >>> print(markdown([{"a": "1", "b": "2"}]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    heads = list(rows[0])
    lines = [heads, *([_unbroken(row[head]) for head in heads] for row in rows)]
    written = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([written[0], f"|{'---|' * len(heads)}", *written[1:]])


def _unbroken(cell: str) -> str:
    r"""Keep a value and its interval on one line.

    >>> _unbroken("0.1 [0, 0.2] → 0.5 [0.3, 0.7]")
    '0.1\xa0[0,\xa00.2] → 0.5\xa0[0.3,\xa00.7]'
    """
    return re.sub(r"\S+ \[[^]]*\]", lambda found: found[0].replace(" ", "\xa0"), cell)
