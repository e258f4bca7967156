"""What a run found, in sentences: the relative residual first, then rank and norm."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_CLAIMS = (
    ("within 10 % of the change itself", "median_relative_residual", 0.1, True),
    ("in rank (Spearman at least 0.9)", "spearman", 0.9, False),
    ("in norm (median error within 5 %)", "median_norm_error", 0.05, True),
)
"""What is said to hold, the statistic, its bound, and whether that is an upper one."""
_TOLD = (0.1, 0.4, 0.9)


def finding(statistics: "pd.DataFrame") -> str:
    """Say how much of the change the first order misses, and what holds up to where.

    Parameters
    ----------
    statistics
        Summary table of one network and mask.

    Returns
    -------
    str
        A few sentences; empty if nothing moved above rounding.
    """
    residual = _known(statistics, "median_relative_residual")
    if not residual:
        return ""
    levels = np.array(list(residual))
    told = sorted({float(levels[np.argmin(np.abs(levels - at))]) for at in _TOLD})
    missed = ", ".join(f"{_percent(residual[at])} at sparsity {at:g}" for at in told)
    parts = []
    for words, name, good, is_upper in _CLAIMS:
        reach = _reach(_known(statistics, name), good, is_upper=is_upper)
        where = "at no sparsity" if reach is None else f"up to sparsity {reach:g}"
        parts.append(f"{words} {where}")
    return (
        "Relative residual, the part of the embedding's change that the first order "
        f"misses (median over the images): {missed}. "
        f"The first order holds {'; '.join(parts)}."
    )


def _known(statistics: "pd.DataFrame", name: str) -> dict[float, float]:
    """Give the values of a statistic by sparsity, ascending, where it is defined."""
    chosen = statistics.loc[
        (statistics["statistic"] == name) & statistics["value"].notna()
    ].sort_values("sparsity")
    levels, values = (
        chosen[column].to_numpy(np.float64).tolist() for column in ("sparsity", "value")
    )
    return dict(zip(levels, values, strict=True))


def _reach(values: dict[float, float], good: float, *, is_upper: bool) -> float | None:
    """Give the last sparsity, from the lowest on, at which all is good."""
    reach = None
    for sparsity, value in values.items():
        if not (value <= good if is_upper else value >= good):
            break
        reach = sparsity
    return reach


def _percent(fraction: float) -> str:
    r"""Write a fraction as percent, with two digits.

    Examples
    --------
    >>> [_percent(f).replace("\N{NO-BREAK SPACE}", " ") for f in (0.0062, 0.374, 1.21)]
    ['0.62 %', '37 %', '121 %']
    """
    digits = max(0, 1 - int(np.floor(np.log10(100 * fraction)))) if fraction > 0 else 0
    return f"{100 * fraction:.{digits}f}\N{NO-BREAK SPACE}%"
