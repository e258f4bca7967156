"""Tables with several lines a row of a run: by layer, by activation, by control."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.results.schema import TABLES

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_OF_ROW = ("mask", "image", "identity", "sparsity")


def unfold(rows: "pa.Table", table: str, labels: Sequence[str]) -> "pd.DataFrame":
    """Lay lists out in long form: a line for each row and label, in this order.

    Parameters
    ----------
    rows
        With columns ``table.number``, lists as long as ``labels``.
    table
        One of :data:`~prefiqs_jax.results.schema.TABLES`.
    labels
        Names of the entries of a list.
    """
    import pandas as pd

    label, numbers = TABLES[table]
    found = {
        name: rows[name].to_pandas().repeat(len(labels)).to_numpy() for name in _OF_ROW
    }
    found[label] = np.tile(np.asarray(labels, object), len(rows))
    for number in numbers:
        column = rows[f"{table}.{number}"].combine_chunks()
        found[number] = column.flatten().to_numpy(zero_copy_only=False)
    return pd.DataFrame(found)
