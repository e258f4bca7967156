"""Tables of areas under the curve, and of their differences between qualities."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa.bootstrap.intervals import interval
from prefiqs_jax.fiqa.bootstrap.replicates import Replicates
from prefiqs_jax.statistics.jackknife import check_level
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals

if TYPE_CHECKING:
    import pandas as pd


def pauc_table(
    replicates: Sequence[Replicates], *, level: float = 0.95
) -> "pd.DataFrame":
    """Tabulate the areas of all qualities with their intervals.

    Parameters
    ----------
    replicates
        As :func:`edc_replicates` gives them.
    level
        Coverage of the percentile intervals, in (0, 1).

    Returns
    -------
    pandas.DataFrame
        One row for each protocol, rate, limit and quality; columns protocol, fmr,
        max_discard, quality, pauc, low, high, unit, unit_count. Areas are not
        normalised: those of different limits, rates or protocols cannot be compared.

    Raises
    ------
    InputError
        If the level is out of its range.
    """
    import pandas as pd

    check_level(level)
    rows = []
    for part in replicates:
        for place, limit in enumerate(part.max_discard):
            for row, name in enumerate(part.quality):
                found = interval(part.pauc[row, :, place], level, part.method, "area")
                names = {"quality": name, "pauc": float(found.value)}
                ends = {"low": float(found.low), "high": float(found.high)}
                rows.append({**_setting(part, limit), **names, **ends, **_units(part)})
    return pd.DataFrame(rows)


def difference_table(
    replicates: Sequence[Replicates],
    *,
    reference: str | None = None,
    level: float = 0.95,
    simultaneous: bool = True,
) -> "pd.DataFrame":
    """Tabulate differences of areas, and mark those whose interval excludes 0.

    Replicates are paired, so two qualities may differ where the intervals of their
    areas overlap.

    Parameters
    ----------
    replicates
        Result of one call of :func:`edc_replicates`, for at least two qualities.
    reference
        Quality that the others are compared to; by default, all are, each with each.
    level
        Coverage of the intervals, in (0, 1); when they are too narrow, and so mark too
        much, says :func:`edc_replicates`.
    simultaneous
        Let ``level`` hold for all differences of this table together (max-t, see
        :func:`~prefiqs_jax.statistics.simultaneous.simultaneous_intervals`): the more
        of them, the wider the intervals. Without it, of 20 comparisons of equal
        qualities one is marked on average at level 0.95.

    Returns
    -------
    pandas.DataFrame
        One row for each protocol, rate, limit and pair; columns protocol, fmr,
        max_discard, quality, reference, pauc, reference_pauc, difference (pauc minus
        reference_pauc; below 0, the quality is better), low, high, differs (the
        interval excludes 0), unit, unit_count.

    Raises
    ------
    InputError
        If there are fewer than two qualities, no such reference, the level is out of
        its range, or the replicates are of several calls.

    Examples
    --------
    >>> from prefiqs_jax.fiqa import all_pairs, edc_replicates
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> who, noise = np.arange(160) // 8, 2 * rng.random(160) ** 3
    >>> noisy = noise[:, None] * rng.normal(size=(160, 8))
    >>> pairs = all_pairs(rng.normal(size=(20, 8))[who] + noisy, who)
    >>> quality = {"known": -noise, "random": rng.random(160)}
    >>> found = edc_replicates(pairs, who, quality, fmrs=[0.05], replicates=50)
    >>> table = difference_table(found)
    >>> table[["quality", "reference", "differs"]].values.tolist()
    [['random', 'known', True]]
    """
    import pandas as pd

    check_level(level)
    rows, changes = [], []
    for part in replicates:
        if part.method != replicates[0].method or (
            part.fnmr.shape[1] != replicates[0].fnmr.shape[1]
        ):
            message = "the replicates are of several calls; give those of one call"
            raise InputError(message)
        for place, limit in enumerate(part.max_discard):
            for one, other in _compared(part.quality, reference):
                area, against = part.pauc[one, :, place], part.pauc[other, :, place]
                changes.append(area - against)
                names = {
                    "quality": part.quality[one],
                    "reference": part.quality[other],
                    "pauc": float(area[0]),
                    "reference_pauc": float(against[0]),
                    "difference": float(area[0] - against[0]),
                }
                rows.append({**_setting(part, limit), **names, **_units(part)})
    table = pd.DataFrame(rows)
    values, method = np.stack(changes, axis=1), replicates[0].method
    if simultaneous:
        low, high = simultaneous_intervals(values, method, level=level)
    else:
        _, low, high = interval(values, level, method, "difference")
    place = list(table.columns).index("unit")
    table.insert(place, "low", low)
    table.insert(place + 1, "high", high)
    table.insert(place + 2, "differs", (low > 0) | (high < 0))
    return table


def _setting(part: Replicates, limit: float) -> dict[str, Any]:
    return {"protocol": part.protocol, "fmr": part.fmr, "max_discard": limit}


def _units(part: Replicates) -> dict[str, Any]:
    return {"unit": part.unit, "unit_count": part.unit_count}


def _compared(names: tuple[str, ...], reference: str | None) -> list[tuple[int, int]]:
    """List the pairs of qualities that are compared."""
    if len(names) < 2:
        message = f"there are only the qualities {list(names)}; give at least two"
        raise InputError(message)
    if reference is None:
        return [(b, a) for a, b in itertools.combinations(range(len(names)), 2)]
    if reference not in names:
        message = f"reference {reference!r} is none of the qualities: {list(names)}"
        raise InputError(message)
    place = names.index(reference)
    return [(one, place) for one in range(len(names)) if one != place]
