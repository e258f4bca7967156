"""For how many of the images a Taylor sum holds, at every sparsity."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.by_sparsity import by_sparsity
from prefiqs_jax.statistics.quantile_interval import share_interval
from prefiqs_jax.statistics.reach import TOLERANCE
from prefiqs_jax.statistics.rounding import ROUNDING

if TYPE_CHECKING:
    import pandas as pd


def held_shares(
    rows: "pd.DataFrame",
    columns: Sequence[str] = ("residual",),
    *,
    tolerance: float = TOLERANCE,
    level: float = 0.95,
    rounding: float = ROUNDING,
) -> "pd.DataFrame":
    """Tabulate the share of images whose relative error is within a tolerance.

    Parameters
    ----------
    rows
        Rows of one network and mask.
    columns
        What is divided by the drift of the same image: residual (the first order's),
        second_order_residual or third_order_residual.
    tolerance
        Largest relative error, above 0.
    level
        Coverage of each interval, by person:
        :func:`~prefiqs_jax.statistics.quantile_interval.share_interval`.
    rounding
        As for :func:`~prefiqs_jax.statistics.summarise`.

    Returns
    -------
    pandas.DataFrame
        Columns sparsity, achieved_sparsity, quantity (of ``columns``), tolerance,
        share, low, high, images, clusters, resampled_by. Images that moved by rounding
        only are left out; an interval takes 3 people.

    Raises
    ------
    InputError
        If the tolerance is not above 0.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"image": list("abcd"), "sparsity": 0.3, "drift": 1.0,
    ...     "achieved_sparsity": 0.3, "first_order": 1.0,
    ...     "residual": [0.05, 0.1, 0.2, 0.01]})
    >>> held_shares(rows)["share"].tolist()
    [0.75]
    """
    if not tolerance > 0:
        message = f"tolerance {tolerance:g}: give one above 0"
        raise InputError(message)
    table = by_sparsity(
        rows,
        columns,
        lambda moved, name: moved[name] <= tolerance * moved["drift"],
        lambda held, groups: (
            float(held.mean()),
            *share_interval(held > 0, groups, level=level),
        ),
        rounding=rounding,
    ).rename(columns={"value": "share"})
    table.insert(3, "tolerance", tolerance)
    return table
