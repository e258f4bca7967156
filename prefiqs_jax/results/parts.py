"""Parquet parts of a folder: one a batch, each written in one step."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

PART = re.compile(r"part-(\d+)\.parquet")


def finished_parts(run: str | os.PathLike[str]) -> set[int]:
    """Find the batches that are done."""
    return {
        int(found[1])
        for entry in Path(run).glob("part-*.parquet")
        if (found := PART.fullmatch(entry.name))
    }


def write_table(
    run: str | os.PathLike[str],
    index: int,
    columns: Mapping[str, Any],
    schema: "pa.Schema",
) -> None:
    """Write one batch as a Parquet part, in one step.

    Parameters
    ----------
    run
        Folder of the parts.
    index
        Of the batch.
    columns
        Every column of the schema, all of one length.
    schema
        Names and types.

    Raises
    ------
    InputError
        If it cannot be written (no space left, say). Finished parts are kept.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(dict(columns), schema=schema)
    with atomic(Path(run) / f"part-{index:06d}.parquet") as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_tables(run: str | os.PathLike[str], schema: "pa.Schema") -> "pa.Table":
    """Read all parts of a folder, in the order of the batches.

    Raises
    ------
    InputError
        If there is none, or one is damaged or has other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for index in sorted(finished_parts(run)):
        part = Path(run) / f"part-{index:06d}.parquet"
        try:
            table = pq.read_table(part)
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            message = f"{part} is damaged ({reason}); delete it and run again"
            raise InputError(message) from None
        if set(table.column_names) != set(schema.names):
            odd = sorted(set(table.column_names) ^ set(schema.names))
            message = f"{part}: columns {', '.join(odd)} missing or unknown"
            raise InputError(message)
        tables.append(table.select(schema.names).cast(schema))
    if not tables or not sum(len(table) for table in tables):
        message = f"{run} holds no rows yet; run the command that makes them again"
        raise InputError(message)
    return pa.concat_tables(tables)
