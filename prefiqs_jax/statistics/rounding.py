"""Changes of an embedding that are rounding, and what is derived from the others."""

from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.statistics.agreement import relative_residual

if TYPE_CHECKING:
    import pandas as pd

ROUNDING = 1e-5
"""Change of a unit embedding up to which float32 cannot tell it from rounding.

Unit embeddings in float32 were off from float64 by 1.0e-6 at most (SFace) and 5.7e-7
(the demo's network), the same images in batches of another size by 2.0e-7. Ten times
that: at a drift of 1e-5 rounding is a tenth of it. Sparsity 0.05 moves SFace by 4e-3.
"""

ROUNDING_AT = {"double": 2e-14, "highest": ROUNDING, "high": 1.25e-2, "fast": 0.1}
"""The same of each precision of a sweep, ten times what it moves an embedding.

``fast`` moved unit embeddings of 8 faces by 0.0064 to 0.0100 (the demo's network) and
0.0078 to 0.0114 (SFace), two to three times the unit roundoff of bfloat16, 2⁻⁸;
``high`` is held to the same of TF32, 2⁻¹¹: an eighth. ``double`` is held to as many
units of roundoff as ``highest``.
"""


NOTHING_CHANGES = (
    "no embedding changes by more than rounding, as where the weights that go are zero "
    "already: the numbers rank nothing"
)
"""What is to be said of measurements that are all of at most that size."""


def with_derived(rows: "pd.DataFrame", rounding: float = ROUNDING) -> "pd.DataFrame":
    """Add the columns relative_residual and below_rounding to rows of a run.

    Parameters
    ----------
    rows
        With columns first_order, drift and residual.
    rounding
        Largest change that is rounding, see :data:`ROUNDING_AT`: predicted and
        measured, both. A mask that drops nothing, or weights that are zero already,
        gives such changes; their ratios and correlations mean nothing.

    Returns
    -------
    pandas.DataFrame
        A copy; relative_residual (residual / drift) is NaN below rounding and at a
        drift of zero.
    """
    first_order, drift, residual = (
        rows[name].to_numpy(np.float64) for name in ("first_order", "drift", "residual")
    )
    below = np.maximum(first_order, drift) <= rounding
    relative = np.where(below, np.nan, relative_residual(residual, drift))
    return rows.assign(relative_residual=relative, below_rounding=below)
