"""Tables as LaTeX (booktabs), Markdown and CSV."""

from typing import Any

import numpy as np
import pandas as pd

from paper_figures.record import Column, Table

_ARROWS = {"lower": "↓", "higher": "↑", "": ""}
_LATEX = {
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "‖": r"$\|$",
    "×": r"$\times$",
    "³": r"$^3$",
    "–": "--",
    "…": r"\dots{}",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "ρ": r"$\rho$",
    "τ": r"$\tau$",
    "δ": r"$\delta$",
    "θ": r"$\theta$",
    "Δ": r"$\Delta$",
    "≤": r"$\leq$",
    "½": r"$\frac{1}{2}$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def escape(text: str) -> str:
    r"""Write text for LaTeX.

    >>> print(escape("lfw_100: δ ≤ 5 %"))
    lfw\_100: $\delta$ $\leq$ 5 \%
    """
    return "".join(_LATEX.get(sign, sign) for sign in text)


def latex(table: Table) -> str:
    """Write a table as a LaTeX environment; an interval stands below its value."""
    numbers, ends = _numbers(table), _ends(table)
    across = len(table.heads) + len(table.columns)
    wide = "*" if across > 3 else ""
    size = r"\footnotesize\setlength{\tabcolsep}{3pt}" if across > 6 else r"\small"
    titles = [*map(escape, (*table.heads, *map(_title, table.columns)))]
    lines = [
        "% needs \\usepackage{booktabs}",
        rf"\begin{{table{wide}}}[t]",
        rf"\centering{size}",
        rf"\caption{{{escape(table.caption)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{'l' * len(table.heads)}{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(titles) + r" \\",
        r"\midrule",
    ]
    for row, label in enumerate(table.labels):
        cells = [escape(word) for word in label]
        for column, texts in zip(table.columns, numbers, strict=True):
            bold = table.best(column)[row]
            text = escape(texts[row])
            cells.append(rf"\textbf{{{text}}}" if bold else text)
        lines.append(" & ".join(cells) + r" \\")
        below = [each[row] for each in ends]
        if any(below):
            small = [rf"{{\scriptsize {escape(e)}}}" if e else "" for e in below]
            lines.append(" & ".join([*[""] * len(label), *small]) + r" \\[2pt]")
    return "\n".join(
        [*lines, r"\bottomrule", r"\end{tabular}", rf"\end{{table{wide}}}", ""]
    )


def markdown(table: Table) -> str:
    """Write a table as Markdown; an interval stands behind its value."""
    numbers, ends = _numbers(table), _ends(table)
    titles = [*table.heads, *map(_title, table.columns)]
    lines = [
        _line(titles),
        f"|{'---|' * len(table.heads)}{'--:|' * len(table.columns)}",
    ]
    for row, label in enumerate(table.labels):
        cells = list(label)
        for column, texts, brackets in zip(table.columns, numbers, ends, strict=True):
            bold = "**" if table.best(column)[row] else ""
            cells.append(f"{bold}{texts[row]}{bold} {brackets[row]}".strip())
        lines.append(_line(cells))
    return "\n".join([*lines, ""])


def frame(table: Table) -> pd.DataFrame:
    """Give every number of a table, unrounded, with the ends of its intervals."""
    columns: dict[str, Any] = {
        head: [label[place] for label in table.labels]
        for place, head in enumerate(table.heads)
    }
    for column in table.columns:
        columns[column.title] = column.value
        for end, values in (("low", column.low), ("high", column.high)):
            if values is not None and np.isfinite(values).any():
                columns[f"{column.title} {end}"] = values
    return pd.DataFrame(columns)


def _title(column: Column) -> str:
    return f"{column.title} {_ARROWS[column.better]}".strip()


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _numbers(table: Table) -> list[list[str]]:
    return [
        [_number(value, column.digits) for value in column.value]
        for column in table.columns
    ]


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def _ends(table: Table) -> list[list[str]]:
    """Write the intervals in brackets; nothing where there is none."""
    found = []
    for column in table.columns:
        if column.low is None or column.high is None:
            found.append([""] * len(table.labels))
            continue
        pairs = zip(column.low, column.high, strict=True)
        found.append(
            [
                f"[{low:.{column.digits}f}, {high:.{column.digits}f}]"
                if np.isfinite(low) and np.isfinite(high)
                else ""
                for low, high in pairs
            ]
        )
    return found
