"""Words on the axes: symbol and unit of each quantity, name of each statistic.

All distances are between unit vectors, so none has a unit; the axes say so.
"""

import numpy as np

SPARSITY = "sparsity (fraction of weights set to zero)"

QUANTITIES = {
    "first_order": r"first-order drift $\|J\delta\|$",
    "drift": r"drift $\|z(\theta+\delta)-z(\theta)\|$",
    "residual": r"residual $\|z(\theta+\delta)-z(\theta)-J\delta\|$",
}
"""Labels of the columns of a run; all without unit."""

STATISTICS = {
    "pearson": "Pearson $r$",
    "spearman": r"Spearman $\rho$",
    "kendall": r"Kendall $\tau_b$",
    "slope": "slope through the origin",
    "median_relative_error": "median relative error",
    "mean_cosine": "mean cosine",
}
"""Labels of the statistics of the summary table; all without unit."""

IDEAL = {
    "pearson": 1.0,
    "spearman": 1.0,
    "kendall": 1.0,
    "slope": 1.0,
    "median_relative_error": 0.0,
    "mean_cosine": 1.0,
}
"""Value of each statistic where the first order is exact."""


def shorten(name: str, length: int = 18) -> str:
    """Cut the middle out of a long name; the end tells pictures of one person apart.

    Examples
    --------
    >>> shorten("Arnold_Schwarzenegger_0001.png")
    'Arnold_S…_0001.png'
    >>> shorten("a.png")
    'a.png'
    """
    if len(name) <= length:
        return name
    tail = length // 2
    return f"{name[: length - tail - 1]}…{name[-tail:]}"


def plain(text: str) -> str:
    r"""Protect dollar signs in names of files and runs from being read as formulae.

    Examples
    --------
    >>> print(plain("cost_$5.png"))
    cost_\$5.png
    """
    return text.replace("$", r"\$")


def number(value: float) -> str:
    """Write a statistic with three decimals, a dash where it is not defined.

    Examples
    --------
    >>> number(0.99321), number(float("nan"))
    ('0.993', '–')
    """
    return f"{value:.3f}" if np.isfinite(value) else "–"
