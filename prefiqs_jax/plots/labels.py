"""Words on the axes: symbol and unit of each quantity, name of each statistic.

All distances are between unit vectors, so none has a unit; the axes say so.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

SPARSITY = "sparsity (fraction of weights set to zero)"

QUANTITIES = {
    "first_order": r"first-order drift $\|J\delta\|$",
    "drift": r"drift $\|z(\theta+\delta)-z(\theta)\|$",
    "residual": r"residual $\|z(\theta+\delta)-z(\theta)-J\delta\|$",
    "relative_residual": r"relative residual"
    "\n"
    r"$\|z(\theta+\delta)-z(\theta)-J\delta\|\,/\,\|z(\theta+\delta)-z(\theta)\|$",
}
"""Labels of the columns of a run; all without unit."""

STATISTICS = {
    "median_relative_residual": "median relative residual",
    "spearman": r"rank: Spearman $\rho$",
    "kendall": r"rank: Kendall $\tau_b$",
    "pearson": "norm: Pearson $r$",
    "slope": "norm: slope through origin",
    "median_norm_error": "norm: median error",
    "mean_cosine": "direction: mean cosine",
}
"""Labels of the statistics of the summary table; all without unit."""

IDEAL = {name: 0.0 if name.startswith("median") else 1.0 for name in STATISTICS}
"""Value of each statistic where the first order is exact."""


def achieved(table: "pd.DataFrame") -> np.ndarray:
    """Give the achieved sparsity of each line; the requested one where unknown."""
    name = "achieved_sparsity" if "achieved_sparsity" in table else "sparsity"
    return table[name].to_numpy(np.float64)


def level_label(sparsity: float, reached: float) -> str:
    """Write a sparsity, and what was achieved where that differs in the third digit.

    >>> level_label(0.3, 0.2999), level_label(0.4, 0.25)
    ('0.3', '0.4 (achieved 0.25)')
    """
    if abs(sparsity - reached) < 1e-3:
        return f"{sparsity:g}"
    return f"{sparsity:g} (achieved {reached:.3g})"


def level_tick(sparsity: float, reached: float) -> str:
    """Write the same in the width of a tick."""
    label = level_label(sparsity, reached)
    return label.rstrip(")").replace(" (", "\n").replace("achieved ", "achieved\n")


def shorten(name: str, length: int = 18) -> str:
    """Cut the middle out of a long name; the end tells images of one person apart.

    >>> shorten("Arnold_Schwarzenegger_0001.png"), shorten("a.png")
    ('Arnold_S…_0001.png', 'a.png')
    """
    if len(name) <= length:
        return name
    tail = length // 2
    return f"{name[: length - tail - 1]}…{name[-tail:]}"


def plain(text: str) -> str:
    """Protect dollar signs in names of files and runs from being read as formulae."""
    return text.replace("$", r"\$")


def number(value: float, form: str = ".3f") -> str:
    """Write a statistic, with three decimals, or a dash where it is not defined.

    >>> number(0.99321), number(float("nan"))
    ('0.993', '–')
    """
    return format(value, form) if np.isfinite(value) else "–"


def counted(count: int, one: str, several: str = "") -> str:
    """Write a number of things.

    >>> counted(1, "image"), counted(3, "image"), counted(2, "person", "people")
    ('1 image', '3 images', '2 people')
    """
    return f"{count} {one if count == 1 else several or one + 's'}"
