"""What a sweep measures on request, in numbers with intervals: orders, kinks, flips."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.statistics.by_sparsity import by_sparsity, image_groups
from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL
from prefiqs_jax.statistics.jackknife import jackknife_interval, without_each
from prefiqs_jax.statistics.reach import clustered_by
from prefiqs_jax.statistics.rounding import ROUNDING
from prefiqs_jax.statistics.woodruff import median_interval

if TYPE_CHECKING:
    import pandas as pd


def relative_medians(
    rows: "pd.DataFrame",
    columns: Sequence[str],
    *,
    over: str | None = "drift",
    rounding: float = ROUNDING,
) -> "pd.DataFrame":
    """Tabulate medians of columns over another of the same image, by sparsity.

    Parameters
    ----------
    rows
        Rows of one network and mask.
    columns
        Such as residual, second_order_residual or kink_residual.
    over
        What they are divided by; None = nothing.
    rounding
        As for :func:`~prefiqs_jax.statistics.summarise`.

    Returns
    -------
    pandas.DataFrame
        Columns sparsity, achieved_sparsity, quantity (of ``columns``), value, low, high
        (:func:`~prefiqs_jax.statistics.median_interval`, each by itself, by person),
        images, clusters, resampled_by. Images that moved by rounding only are left out,
        and so are those whose quotient is not finite.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"image": list("abc"), "sparsity": 0.3, "first_order": 1.0,
    ...     "achieved_sparsity": 0.3, "drift": 2.0, "residual": [0.1, 0.2, 0.6]})
    >>> relative_medians(rows, ["residual"])["value"].tolist()
    [0.1]
    """
    return by_sparsity(
        rows,
        columns,
        lambda moved, name: moved[name] / (1 if over is None else moved[over]),
        lambda values, groups: (
            float(np.median(values)),
            *median_interval(values, groups),
        ),
        rounding=rounding,
    )


def flip_table(kinks: "pd.DataFrame") -> "pd.DataFrame":
    """Tabulate the mean number of flips of an image, by sparsity and activation.

    Parameters
    ----------
    kinks
        Table ``kinks`` of :func:`prefiqs_jax.results.read`.

    Returns
    -------
    pandas.DataFrame
        Columns sparsity, activation (in its order), flips, low, high (jackknife over
        the people), predicted_flips (by the tangents), images, clusters, resampled_by.

    Examples
    --------
    >>> import pandas as pd
    >>> kinks = pd.DataFrame({"image": list("ab"), "sparsity": 0.3,
    ...     "activation": "relu", "flips": [2.0, 4.0], "predicted_flips": [3.0, 5.0]})
    >>> flip_table(kinks)[["flips", "predicted_flips"]].values.tolist()
    [[3.0, 4.0]]
    """
    import pandas as pd

    by, unit = clustered_by(kinks)
    lines: list[dict[str, Any]] = []
    for _, part in kinks.groupby(["sparsity", "activation"], sort=False):
        groups, count = image_groups(part, by)
        flips, predicted = (
            part[name].to_numpy(np.float64) for name in ("flips", "predicted_flips")
        )
        weights = without_each(groups, 0, int(groups.max()) + 1)
        low = high = np.float64("nan")
        if count >= FEWEST_FOR_INTERVAL:
            without = weights @ flips / weights.sum(axis=1)
            low, high = jackknife_interval(flips.mean(), without)
        lines.append(
            {name: part[name].iloc[0] for name in ("sparsity", "activation")}
            | {
                "flips": flips.mean(),
                "low": float(np.maximum(0.0, low)),
                "high": float(high),
            }
            | {"predicted_flips": predicted.mean(), "images": len(flips)}
            | {"clusters": count, "resampled_by": unit}
        )
    table = pd.DataFrame(lines)
    return table.sort_values("sparsity", kind="stable", ignore_index=True)
