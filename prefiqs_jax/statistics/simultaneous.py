"""Intervals of many differences that hold all together (max-t)."""

from typing import Literal

import numpy as np
from jaxtyping import Float

_SIMULATED = 20_000


def simultaneous_intervals(
    values: Float[np.ndarray, "draws statistics"],
    method: Literal["jackknife", "bootstrap"],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Float[np.ndarray, " statistics"], Float[np.ndarray, " statistics"]]:
    """Compute intervals that all contain their value at once with the given level.

    value ± q · SE, where q is the ``level`` quantile of max |error| / SE over all
    statistics, from their joint distribution: what is correlated, as differences to one
    reference are, costs less than Bonferroni's correction takes. Of the bootstrap that
    distribution is the replicates'. Of the jackknife over K units it is Student's
    multivariate one with K - 1 degrees of freedom and the correlation of the
    replicates, of which 20,000 draws are made.

    The first row of ``values`` holds the statistics, the others those of the
    replicates. An interval is NaN where a statistic is NaN, or a jackknife replicate of
    it is, or more than half of those of the bootstrap; one that no replicate changes
    has no width. Neither takes part in the maximum. Of the others, a bootstrap
    replicate with NaN is left out.

    References
    ----------
    Hothorn, Bretz & Westfall (2008). Simultaneous inference in general parametric
    models. Biometrical Journal 50: the maximum over a multivariate t. Romano & Wolf
    (2005). Exact and approximate stepdown methods for multiple hypothesis testing.
    Journal of the American Statistical Association 100: that of a bootstrap.

    Examples
    --------
    One statistic has its own interval; a copy of it beside it costs nothing.

    >>> x = np.array([1.0, 2.0, 3.0, 6.0])
    >>> one = np.append(x.mean(), (x.sum() - x) / 3)[:, None]
    >>> low, high = simultaneous_intervals(np.hstack([one, one]), "jackknife")
    >>> bool(low[0] == low[1]), round(float(low[0]), 1), round(float(high[0]), 1)
    (True, -0.4, 6.4)
    """
    value, replicates = values[0], values[1:]
    if method == "bootstrap":
        # Draws of a few units may have no mated or no non-mated comparison.
        known = np.isfinite(replicates)
        takes_part = np.isfinite(value) & (known.mean(axis=0) >= 0.5)
        replicates = replicates[known[:, takes_part].all(axis=1)]
        replicates = np.where(takes_part, replicates, np.nan)
    count = len(replicates)
    if count < 2:
        return np.full(value.shape, np.nan), np.full(value.shape, np.nan)
    deviation = replicates - replicates.mean(axis=0)
    square = np.sum(deviation**2, axis=0)
    is_jackknife = method == "jackknife"
    error = np.sqrt(square * ((count - 1) / count if is_jackknife else 1 / (count - 1)))
    # Below rounding, a difference between equal qualities is none.
    rounding = 1e-12 * np.abs(values).max(initial=0, where=np.isfinite(values))
    varies = error > rounding
    reach = np.where(value == 0, 0.0, rounding)
    if not varies.any():
        return value - reach, value + reach
    unit = deviation[:, varies] / error[varies]
    if is_jackknife:
        rng = np.random.default_rng(seed)
        normal = rng.standard_normal((_SIMULATED, count)) @ unit
        normal *= np.sqrt((count - 1) / count)
        spread = np.sqrt(rng.chisquare(count - 1, _SIMULATED) / (count - 1))
        most = np.abs(normal).max(axis=1) / spread
    else:
        most = np.abs(unit).max(axis=1)
    reach = np.where(varies, np.quantile(most, level) * error, reach)
    reach[np.isnan(error)] = np.nan
    return value - reach, value + reach
