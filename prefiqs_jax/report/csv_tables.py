"""Tables as CSV files, also those with a line for each image and sparsity."""

import gzip
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prefiqs_jax.terminal import progress_bar

if TYPE_CHECKING:
    import pandas as pd

MOST_PLAIN = 16 * 2**20
"""Bytes up to which a table is plain text; a larger one is compressed by gzip, which
pandas, R and DuckDB read as they read CSV."""
_MANY_LINES = 20_000
"""From so many on Pandas takes longer than the statistics."""


def table_files(
    tables: "Mapping[str, pd.DataFrame]",
    stem: str = "",
    float_format: str | None = None,
    *,
    progress: bool = False,
) -> dict[str, bytes]:
    """Write tables as CSV, without their index.

    Parameters
    ----------
    tables
        By name.
    stem
        Start of every path, such as ``"tables/"``.
    float_format
        How numbers are written; None for every digit. Long tables have those of
        float32, nine at most, unless it is None.
    progress
        Show rate and time left on standard error.

    Returns
    -------
    dict
        Content by path: ``STEM + NAME.csv``, or ``NAME.csv.gz`` for one of more than
        :data:`MOST_PLAIN` bytes.
    """
    files: dict[str, bytes] = {}
    lines = sum(len(table) for table in tables.values())
    bar = progress_bar(lines, "line", what="tables", delay=1, progress=progress)
    with bar:
        for name, table in tables.items():
            if len(table) > _MANY_LINES and float_format is not None:
                text = _quickly(table)
            else:
                text = table.to_csv(index=False, float_format=float_format).encode()
            path = f"{stem}{name}.csv"
            files[path] = text
            if len(text) > MOST_PLAIN:
                # The same content gives the same bytes.
                files[f"{path}.gz"] = gzip.compress(files.pop(path), 4, mtime=0)
            bar.update(len(table))
    return files


def _quickly(table: "pd.DataFrame") -> bytes:
    """Write a long table as Pandas does, by Arrow."""
    import pyarrow as pa
    import pyarrow.compute
    from pyarrow import csv

    compute: Any = pyarrow.compute  # made at run time
    found = pa.Table.from_pandas(table, preserve_index=False)
    columns, quoted = [], False
    for column in found.columns:
        kind = column.type
        if pa.types.is_floating(kind):
            column = column.cast(pa.float32(), safe=False)
        elif pa.types.is_boolean(kind):
            column = compute.if_else(column, "True", "False")
        elif not pa.types.is_integer(kind):
            column = column.cast(pa.string())
            odd = compute.match_substring_regex(column.unique(), '[",\r\n]')
            quoted |= bool(compute.any(odd).as_py())
        columns.append(column)
    options = csv.WriteOptions(
        include_header=False, quoting_style="needed" if quoted else "none"
    )
    stream = io.BytesIO()
    stream.write((",".join(map(str, table.columns)) + "\n").encode())
    csv.write_csv(pa.table(columns, found.column_names), stream, options)
    return stream.getvalue()
