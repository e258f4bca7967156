"""A run folder: append-only Parquet parts and a run.json that says how they came."""

import functools
import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import PARTIAL, make_folder, write_text
from prefiqs_jax.results.parts import read_tables, write_table

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "run.json"
PROCESS = "process-{:04d}.json"
"""The same, by another process than the first."""


def open_run(
    run: str | os.PathLike[str],
    settings: Mapping[str, Any],
    *,
    beside: Collection[str] = (),
) -> dict[str, Any] | None:
    """Make a new run folder, or make sure that an existing one has the same settings.

    Parameters
    ----------
    run
        Folder of the run.
    settings
        What decides the rows. A value of None means "as the run has it".
    beside
        Names of files and folders that a new run may find in its folder.

    Returns
    -------
    dict or None
        The manifest of the run that is continued; None for a new one.

    Raises
    ------
    InputError
        If the folder holds something else, or the run has other settings; the message
        names the first difference.
    """
    run = Path(run)
    if run.exists() and not run.is_dir():
        message = f"{run} is a file; give a folder for the run"
        raise InputError(message)
    if not _accounts(run):
        if run.exists() and any(
            not entry.name.endswith(PARTIAL) and entry.name not in beside
            for entry in run.iterdir()
        ):
            message = f"{run} is not empty and is no run; give another --out"
            raise InputError(message)
        return None
    manifest = read_manifest(run)
    stored = manifest.get("settings", {})
    for key in sorted(stored.keys() | settings.keys()):
        if settings.get(key) is not None and stored.get(key) != settings[key]:
            message = (
                f"{run} was made with {key} {_brief(stored.get(key))}, not "
                f"{_brief(settings[key])}; give another --out or the same settings"
            )
            raise InputError(message)
    return manifest


def write_manifest(
    run: str | os.PathLike[str], manifest: Mapping[str, Any], *, process: int = 0
) -> None:
    """Write run.json in one step, making the folder if need be.

    Parameters
    ----------
    run
        Folder of the run.
    manifest
        What the process knows of the run.
    process
        Index of the process; all but the first have a file of their own.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    text = json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True)
    write_text(make_folder(run) / _account(process), text + "\n")


def clear_unfinished(run: str | os.PathLike[str], *, process: int = 0) -> None:
    """Remove what killed processes left half-written in a run that has all its parts.

    Not before: until then another process of the run may be writing what looks like it.

    Parameters
    ----------
    run
        Folder of the run.
    process
        Index of the process; accounts of others may still be in their hands.
    """
    for name in ("part-*.parquet", _account(process)):
        for leftover in Path(run).glob(f".{name}.*{PARTIAL}"):
            leftover.unlink(missing_ok=True)


def write_part(
    run: str | os.PathLike[str], index: int, columns: Mapping[str, Any]
) -> None:
    """Write the rows of one batch as a Parquet part, in one step.

    Parameters
    ----------
    run
        Folder of the run.
    index
        Of the batch.
    columns
        Every column of :class:`prefiqs_jax.results.DriftRow`, all of one length.

    Raises
    ------
    InputError
        If it cannot be written (no space left, say). Finished parts are kept.
    """
    from prefiqs_jax.results.schema import ARROW_SCHEMA

    write_table(run, index, columns, ARROW_SCHEMA)


def read_manifest(run: str | os.PathLike[str]) -> dict[str, Any]:
    """Read ``run.json`` of a run folder.

    Parameters
    ----------
    run
        Folder that ``prefiqs sweep --out`` wrote.

    Returns
    -------
    dict
        Every setting, version, device and count of the run; sessions and skipped
        pictures of all its processes.

    Raises
    ------
    InputError
        If the folder or its run.json is missing or unreadable.
    """
    paths = _accounts(Path(run))
    if not paths:
        message = (
            f"{run} is not a run: it has no {MANIFEST}; make one with prefiqs sweep"
        )
        raise InputError(message)
    first, *others = [_read_object(path) for path in paths]
    return functools.reduce(_together, others, first)


def _account(process: int) -> str:
    return PROCESS.format(process) if process else MANIFEST


def _accounts(run: Path) -> list[Path]:
    """List what the processes say of a run; any one of them will do."""
    first = run / MANIFEST
    return [first] * first.exists() + sorted(run.glob("process-*.json"))


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Add what another process says of a run; on its own sessions it knows best."""
    both = dict(one)
    for field, identity in (("sessions", _who), ("skipped", _which)):
        kept = {identity(entry): entry for entry in one.get(field, [])}
        kept |= {identity(entry): entry for entry in other.get(field, [])}
        both[field] = list(kept.values())
    ends = [each["finished"] for each in (one, other) if each.get("finished")]
    both["finished"] = max(ends, default=None)
    return both


def _who(session: Mapping[str, Any]) -> tuple[Any, ...]:
    return session["started"], session.get("process_index", 0)


def _which(skipped: Mapping[str, Any]) -> str:
    return skipped["image"]


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        message = f"{path} is damaged ({error}); start the run again in a new folder"
        raise InputError(message) from None
    if not isinstance(found, dict):
        message = f"{path} is damaged (no object); start the run again in a new folder"
        raise InputError(message)
    return found


def read(run: str | os.PathLike[str]) -> "pd.DataFrame":
    """Read the rows of a run.

    Parameters
    ----------
    run
        Folder that ``prefiqs sweep --out`` wrote, finished or not.

    Returns
    -------
    pandas.DataFrame
        Columns of :class:`prefiqs_jax.results.DriftRow`, in its order, by image,
        then by sparsity.

    Raises
    ------
    InputError
        If the folder is no run, holds no rows yet, or a part is damaged or has other
        columns.
    """
    from prefiqs_jax.results.schema import ARROW_SCHEMA

    read_manifest(run)
    return read_tables(run, ARROW_SCHEMA).to_pandas()


def _brief(value: Any, limit: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
