"""Parquet parts of a run folder: one a batch, each written in one step.

A part says which run and which batch it belongs to, so that a file that got here by a
wrong copy, or only half, is never taken for rows of the run.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import atomic, check_regular, make_folder

if TYPE_CHECKING:
    import pyarrow as pa

ROWS = "rows"
"""Folder of a run that holds its parts."""
PART = re.compile(r"part-(\d{6,})\.parquet")
RUN, BATCH, CONTENT = (
    b"prefiqs_jax.%s" % key for key in (b"run", b"batch", b"content")
)
"""Keys of a part's Parquet metadata: the digest of its run, the index of its batch, the
digest of its columns."""


class BadPart(InputError):
    """A part that cannot be used; its batch has to be measured again."""


def run_digest(settings: Mapping[str, Any]) -> str:
    """Compute the SHA-256 of a run's settings, which all its parts carry."""
    text = json.dumps(dict(settings), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def rows_folder(run: str | os.PathLike[str]) -> Path:
    """Return the folder of a run's parts: nothing else is in it, for other programs.

    Earlier versions wrote the parts beside run.json, where they stay.
    """
    rows = Path(run) / ROWS
    beside = not rows.exists() and any(Path(run).glob("part-*.parquet"))
    return Path(run) if beside else rows


def part_path(run: str | os.PathLike[str], index: int) -> Path:
    """Return where the part of a batch is."""
    return rows_folder(run) / f"part-{index:06d}.parquet"


def named_parts(run: str | os.PathLike[str]) -> set[int]:
    """List the batches for which there is a file, whatever is in it."""
    return {
        int(found[1])
        for entry in rows_folder(run).glob("part-*.parquet")
        if (found := PART.fullmatch(entry.name))
        and entry.name == f"part-{int(found[1]):06d}.parquet"
    }


def write_table(
    run: str | os.PathLike[str],
    index: int,
    columns: Mapping[str, Any],
    schema: "pa.Schema",
    digest: str,
) -> None:
    """Write the columns of batch ``index`` as a Parquet part, in one step.

    ``digest`` is that of the run, see :func:`run_digest`. Raises InputError if it
    cannot be written (no space left, say); finished parts are kept.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(dict(columns), schema=schema)
    labels = {RUN: digest, BATCH: str(index), CONTENT: _content(table)}
    table = table.replace_schema_metadata(labels)
    make_folder(rows_folder(run))
    with atomic(part_path(run, index)) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def read_part(
    run: str | os.PathLike[str], index: int, schema: "pa.Schema", digest: str | None
) -> "pa.Table":
    """Read the part of one batch and make sure that it is that.

    ``digest`` is that of the run, None where its parts carry none. Raises BadPart if
    the part is damaged, has other columns, or belongs to another run or batch; another
    InputError if the file cannot be read at all, which says nothing of what is in it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    part = part_path(run, index)
    check_regular(part)
    try:
        with part.open("rb") as file:
            table = pq.ParquetFile(file, page_checksum_verification=True).read()
    except (pa.ArrowException, OSError) as error:
        # Parquet reports damage as OSError, too, but without an error number.
        if isinstance(error, OSError) and error.errno is not None:
            message = f"{part} cannot be read: {error.strerror}; make it readable"
            raise InputError(message) from None
        reason = str(error).splitlines()[0]
        message = f"{part} is damaged ({reason})"
        raise BadPart(message) from None
    if set(table.column_names) != set(schema.names):
        odd = sorted(set(table.column_names) ^ set(schema.names))
        message = f"{part}: columns {', '.join(odd)} missing or unknown"
        raise BadPart(message)
    labels = table.schema.metadata or {}
    if digest is not None and labels.get(RUN) != digest.encode():
        message = f"{part} belongs to another run"
        raise BadPart(message)
    if digest is not None and labels.get(BATCH) != str(index).encode():
        batch = labels.get(BATCH, b"none").decode(errors="replace")
        message = f"{part} is a copy of the part of batch {batch}"
        raise BadPart(message)
    try:
        table = table.select(schema.names).cast(schema)
    except pa.ArrowException as error:
        message = f"{part} has columns of other types ({str(error).splitlines()[0]})"
        raise BadPart(message) from None
    if digest is not None and labels.get(CONTENT) != _content(table).encode():
        message = f"{part} was changed since it was written"
        raise BadPart(message)
    return table


def _content(table: "pa.Table") -> str:
    """Compute the SHA-256 of the columns, whatever the version of the file format."""
    import numpy as np
    import pyarrow as pa

    digest = hashlib.sha256()
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"{name} {column.type} {len(column)}\n".encode())
        if pa.types.is_string(column.type):
            digest.update(json.dumps(column.to_pylist()).encode())
            continue
        for chunk in column.chunks:
            flat = chunk.flatten() if pa.types.is_fixed_size_list(chunk.type) else chunk
            values = flat.to_numpy(zero_copy_only=False)
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def read_parts(
    run: str | os.PathLike[str],
    schema: "pa.Schema",
    settings: Mapping[str, Any],
    *,
    labelled: bool = True,
) -> Iterator[tuple[int, "pa.Table | BadPart"]]:
    """Yield index and rows of each batch in order, or why the rows cannot be used.

    ``labelled`` says whether the parts carry the digest of their run. Raises InputError
    if a file cannot be read at all, or is of no batch of the run.
    """
    indices = sorted(named_parts(run))
    images, size = settings.get("image_count"), settings.get("batch_size")
    if indices and images and size:
        count = -(-images // size)
        if indices[-1] >= count:
            message = (
                f"{part_path(run, indices[-1])} is of no batch of this run, which has "
                f"{count}; move it away"
            )
            raise InputError(message)
    digest = run_digest(settings) if labelled else None
    for index in indices:
        try:
            yield index, read_part(run, index, schema, digest)
        except BadPart as error:
            yield index, error


def sound_parts(
    run: str | os.PathLike[str], schema: "pa.Schema", settings: Mapping[str, Any]
) -> tuple[set[int], list[str]]:
    """Find the batches that are done, and why other parts have to be made again."""
    done, bad = set(), []
    for index, found in read_parts(run, schema, settings):
        if isinstance(found, BadPart):
            bad.append(str(found))
        else:
            done.add(index)
    return done, bad


def read_tables(
    run: str | os.PathLike[str],
    schema: "pa.Schema",
    settings: Mapping[str, Any],
    *,
    labelled: bool = True,
) -> "pa.Table":
    """Read all parts of a folder as one table.

    Raises InputError if there is none, or one cannot be used, see :func:`read_parts`.
    """
    import pyarrow as pa

    tables = []
    for _, found in read_parts(run, schema, settings, labelled=labelled):
        if isinstance(found, BadPart):
            message = f"{found}; run the command of the run again to have it made again"
            raise InputError(message)
        tables.append(found)
    if not sum(len(table) for table in tables):
        message = f"{run} holds no rows yet; run the command that makes them again"
        raise InputError(message)
    return pa.concat_tables(tables)
