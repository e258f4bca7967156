"""The record of a run's image files, by which changes are detected."""

import os
from pathlib import Path

from prefiqs_jax.files import atomic, check_regular
from prefiqs_jax.images import Inventory
from prefiqs_jax.images.inventory import Content

INVENTORY = "images.parquet"


def write_inventory(run: str | os.PathLike[str], inventory: Inventory) -> None:
    """Write name, size, times and digest of every image's file in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = zip(*inventory.contents, strict=True) if inventory.contents else [()] * 4
    table = pa.table(
        {
            "image": list(inventory.names),
            **dict(zip(Content._fields, map(list, columns), strict=True)),
        }
    )
    with atomic(Path(run) / INVENTORY) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_inventory(run: str | os.PathLike[str]) -> Inventory | None:
    """Read the record of a run's image files; None if it is absent or damaged.

    Then all files are read again: the digest of them all is in run.json.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(run) / INVENTORY
    check_regular(path)
    try:
        table = pq.read_table(path)
        names = tuple(table.column("image").to_pylist())
        fields = [table.column(field).to_pylist() for field in Content._fields]
    except (pa.ArrowException, OSError, KeyError):
        return None
    return Inventory(names, tuple(map(Content, *fields)))
