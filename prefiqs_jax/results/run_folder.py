"""A run folder: append-only Parquet parts and a run.json that says how they were made."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefiqs_jax.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "run.json"


def read_manifest(run: str | os.PathLike[str]) -> dict[str, Any]:
    """Read ``run.json`` of a run folder.

    Parameters
    ----------
    run
        Folder that ``prefiqs sweep --out`` wrote.

    Returns
    -------
    dict
        Every setting, version, device and count of the run.

    Raises
    ------
    InputError
        If the folder or its run.json is missing or unreadable.
    """
    path = Path(run) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{run} is not a run: it has no {MANIFEST}; make one with prefiqs sweep"
        raise InputError(message) from None
    except json.JSONDecodeError as error:
        message = f"{path} is damaged ({error}); start the run again in a new folder"
        raise InputError(message) from None
    return manifest


def read(run: str | os.PathLike[str]) -> "pd.DataFrame":
    """Read the rows of a run.

    Parameters
    ----------
    run
        Folder that ``prefiqs sweep --out`` wrote, finished or not.

    Returns
    -------
    pandas.DataFrame
        Columns of :class:`DriftRow`, in its order, sorted as they were computed:
        by image, then by sparsity.

    Raises
    ------
    InputError
        If the folder is no run, holds no rows yet, or a part is damaged or has other
        columns.
    """
    import pandas as pd
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowInvalid

    from prefiqs_jax.results.schema import ARROW_SCHEMA, COLUMNS

    read_manifest(run)
    tables = []
    for part in sorted(Path(run).glob("part-*.parquet")):
        try:
            table = pq.read_table(part)
        except (ArrowInvalid, OSError) as error:
            message = f"{part} is damaged ({error}); delete it and run the sweep again"
            raise InputError(message) from None
        if set(table.column_names) != set(COLUMNS):
            odd = sorted(set(table.column_names) ^ set(COLUMNS))
            message = f"{part}: columns {', '.join(odd)} missing or unknown"
            raise InputError(message)
        tables.append(table.select(COLUMNS).cast(ARROW_SCHEMA).to_pandas())
    if not tables:
        message = f"{run} holds no rows yet; run prefiqs sweep with --out {run}"
        raise InputError(message)
    return pd.concat(tables, ignore_index=True)
