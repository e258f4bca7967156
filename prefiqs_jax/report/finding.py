"""What a run found, in sentences: the relative residual first, then rank and norm."""

from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.statistics import FEWEST_CLUSTERS

if TYPE_CHECKING:
    import pandas as pd

_CLAIMS = (
    ("within 10 % of the change itself", "median_relative_residual", 0.1, True),
    ("in rank (Spearman at least 0.9)", "spearman", 0.9, False),
    ("in norm (median error within 5 %)", "median_norm_error", 0.05, True),
)
"""What is said to hold, the statistic, its bound, and whether that is an upper one."""
_TOLD = (0.1, 0.4, 0.9)
_MOST_DIGITS = 9


def finding(statistics: "pd.DataFrame", change: str | None = None) -> list[str]:
    """Say how much of the change the first order misses, and what holds up to where.

    Sentences on the summary table of one network and mask, or of a change of the
    weights that is no mask, given by its name; none if nothing moved above rounding.
    """
    residual = _values(statistics, "median_relative_residual")
    residual = {at: one for at, one in residual.items() if np.isfinite(one)}
    if not residual:
        return []
    if change is not None:
        return [*_finding_of_change(statistics, change), *_few(statistics)]
    levels = np.array(list(residual))
    told = sorted({float(levels[np.argmin(np.abs(levels - at))]) for at in _TOLD})
    missed = ", ".join(f"{percent(residual[at])} at sparsity {at:g}" for at in told)
    parts = [
        f"{words} {_where(_values(statistics, name), good, is_upper=is_upper)}"
        for words, name, good, is_upper in _CLAIMS
    ]
    return [
        "Relative residual, the part of the embedding's change that the first order "
        f"misses (median over the images): {missed}.",
        f"The first order holds {'; '.join(parts)}, all by point estimates, whose "
        "intervals are in the table.",
        *_few(statistics),
    ]


def _finding_of_change(statistics: "pd.DataFrame", change: str) -> list[str]:
    """Say it of one change: what the first order misses, and which claims hold."""
    holds: dict[str, list[str]] = {"holds": [], "does not hold": [], "is unknown": []}
    for words, name, good, is_upper in _CLAIMS:
        (value,) = _values(statistics, name).values()
        fits = value <= good if is_upper else value >= good
        key = "holds" if fits else "does not hold"
        holds[key if np.isfinite(value) else "is unknown"].append(words)
    (missed,) = _values(statistics, "median_relative_residual").values()
    told = "; ".join(
        f"{verb} {' and '.join(claims)}" for verb, claims in holds.items() if claims
    )
    return [
        f"Of the embedding's change by {change} the first order misses "
        f"{percent(missed)} (relative residual, median over the images).",
        f"It {told}, all by point estimates, whose intervals are in the table.",
    ]


def _few(statistics: "pd.DataFrame") -> list[str]:
    """Warn of few people; nothing to say of many."""
    moved = _moved(statistics)
    counts = moved["clusters"].tolist() if "clusters" in moved else []
    fewest = min(counts, default=FEWEST_CLUSTERS)
    if fewest >= FEWEST_CLUSTERS:
        return []
    unit = "people" if moved["resampled_by"].iloc[0] == "identity" else "images"
    return [f"They come from few {unit}, {fewest} at the fewest: others may differ."]


def _moved(statistics: "pd.DataFrame") -> "pd.DataFrame":
    """Leave out where no image moved above rounding: there is nothing to know."""
    if "images" not in statistics:
        return statistics
    return statistics.loc[statistics["images"] > 0]


def _values(statistics: "pd.DataFrame", name: str) -> dict[float, float]:
    """Give the values of a statistic by sparsity, ascending, NaN where unknown."""
    moved = _moved(statistics)
    chosen = moved.loc[moved["statistic"] == name].sort_values("sparsity")
    return dict(chosen[["sparsity", "value"]].to_numpy(np.float64).tolist())


def _where(values: dict[float, float], good: float, *, is_upper: bool) -> str:
    """Say up to where, from the lowest sparsity on, all that is known is good.

    >>> _where({0.1: 0.95, 0.4: 0.9, 0.9: 0.2}, 0.9, is_upper=False)
    'up to sparsity 0.4'
    >>> _where({0.1: float("nan"), 0.4: 0.95, 0.9: 0.2}, 0.9, is_upper=False)
    'up to sparsity 0.4 (not known at 0.1)'
    """
    reach, unknown = None, []
    for sparsity, value in values.items():
        if np.isnan(value):
            unknown.append(sparsity)
        elif value <= good if is_upper else value >= good:
            reach = sparsity
        else:
            break
    if len(unknown) == len(values):
        return "up to an unknown sparsity"
    where = "at no sparsity" if reach is None else f"up to sparsity {reach:g}"
    if unknown:
        where += f" (not known at {', '.join(f'{one:g}' for one in unknown)})"
    return where


def percent(fraction: float, *, bound: float = 0.1) -> str:
    r"""Write a fraction as percent, with two digits, or as many as keep its side.

    No other fraction is written as that of the `bound`.

    >>> each = (0.0062, 0.374, 1.21, 0.0999, 0.1004, 0.1)
    >>> [percent(one).replace("\N{NO-BREAK SPACE}", " ") for one in each]
    ['0.62 %', '37 %', '121 %', '9.99 %', '10.04 %', '10 %']
    """
    hundred = 100 * fraction
    size = int(np.floor(np.log10(float(f"{hundred:.1e}")))) if fraction > 0 else 1
    digits = max(0, 1 - size)
    while fraction != bound and digits < _MOST_DIGITS:
        if float(f"{hundred:.{digits}f}") != 100 * bound:
            break
        digits += 1
    return f"{hundred:.{digits}f}\N{NO-BREAK SPACE}%"
