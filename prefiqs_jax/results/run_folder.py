"""A run folder: append-only Parquet parts, and run.json with their provenance."""

import contextlib
import functools
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import (
    LOCK,
    PARTIAL,
    check_regular,
    clear_partial,
    lock_folder,
    make_folder,
    parse_json,
    write_text,
)
from prefiqs_jax.results.parts import read_tables, rows_folder

if TYPE_CHECKING:
    import pandas as pd

MANIFEST = "run.json"
PROCESS = "process-{:04d}.json"
"""The same, by another process than the first."""
FORMAT = 2
"""Format of a run folder. Parts of format 1 do not say which run they belong to."""
CHOSEN, CONTENT = "batch_size", "image_content_sha256"
"""Settings that are not compared when a run is opened: a batch size of None means "as
the run has it", and files are only read once everything else is right."""
_MEANINGS = {
    "function": "another function of the weights and images",
    "weights_sha256": "other weights",
    "images_sha256": "other images",
    "image_content_sha256": "images of other content",
    "identities_sha256": "other identities of the images",
    "mask_file_sha256": "another content of the mask's file",
    "earlier_sha256": "another earlier checkpoint",
    "calibration": "other calibration images",
    "masks_sha256": "other masks",
    "with": "other measurements on request",
}
"""What another digest means, in words; what is further up decides what is below."""


def open_run(
    run: str | os.PathLike[str],
    settings: Mapping[str, Any],
    *,
    beside: Collection[str] = (),
) -> dict[str, Any] | None:
    """Check that a folder is a new run, or one with the same settings; write nothing.

    ``settings`` decide the rows. A ``batch_size`` of None means "as the run has it";
    the content of images is compared by :func:`check_setting`. A new run may find files
    and folders named in ``beside``. Gives the manifest of the run that is continued;
    None for a new one. Raises InputError if the folder holds something else, or the run
    has other settings or another format; it names the first difference.
    """
    run = Path(run)
    if run.exists() and not run.is_dir():
        message = f"{run} is a file; give a folder for the run"
        raise InputError(message)
    if not _accounts(run):
        if run.exists() and any(
            not entry.name.endswith(PARTIAL) and entry.name not in (LOCK, *beside)
            for entry in run.iterdir()
        ):
            message = f"{run} is not empty and is no run; give another --out"
            raise InputError(message)
        return None
    manifest = read_manifest(run)
    if _format(manifest) < FORMAT:
        message = (
            f"{run} was made by an earlier version of prefiqs-jax, whose parts do not "
            "say what they were made of; it can be read, but not be continued: give "
            "another --out"
        )
        raise InputError(message)
    stored, digests = manifest.get("settings", {}), list(_MEANINGS)

    def place(key: str) -> tuple[int, bool, str]:
        # What a user can name comes before digests and what only one of the two has.
        rank = digests.index(key) if key in digests else -1
        return rank, key not in stored or key not in settings, key

    for key in sorted((stored.keys() | settings.keys()) - {CONTENT}, key=place):
        if key != CHOSEN or settings.get(key) is not None:
            check_setting(run, manifest, key, settings.get(key))
    return manifest


@contextlib.contextmanager
def claim_run(
    run: str | os.PathLike[str],
    settings: Mapping[str, Any],
    doing: str,
    *,
    beside: Collection[str] = (),
) -> Iterator[dict[str, Any] | None]:
    """Open a run as :func:`open_run` does, and lock its folder.

    What processes that were killed left half-written is removed. If the caller fails
    before it has written anything, a folder that was made here is removed again. Raises
    InputError as :func:`open_run`, or if another process works on the run, which reads
    there what it is ``doing``.
    """
    run = Path(run)
    open_run(run, settings, beside=beside)  # before anything is written
    with keep_folder(run, doing):
        clear_partial(run)
        clear_partial(rows_folder(run))
        # Another process may have begun the run before the lock was had.
        yield open_run(run, settings, beside=beside)


@contextlib.contextmanager
def keep_folder(folder: Path, doing: str) -> Iterator[bool]:
    """Make a folder and lock it; yield whether it is new.

    A new one that is empty in the end goes again.
    """
    is_new = not folder.exists()
    try:
        with lock_folder(make_folder(folder), doing):
            yield is_new
    finally:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is empty


def check_setting(
    run: str | os.PathLike[str], manifest: Mapping[str, Any], key: str, value: Any
) -> None:
    """Raise InputError if a run was made with another value of one setting."""
    stored = manifest.get("settings", {}).get(key)
    if stored == value:
        return
    meaning = f"{_MEANINGS[key]}: " if key in _MEANINGS else ""
    message = (
        f"{run} was made with {meaning}{key} {_brief(stored)}, not {_brief(value)}; "
        "give another --out or the same settings"
    )
    raise InputError(message)


def write_manifest(
    run: str | os.PathLike[str], manifest: Mapping[str, Any], *, process: int = 0
) -> None:
    """Write what a process knows of a run in one step, making the folder if need be.

    All processes but the first (0) have a file of their own beside run.json.
    """
    text = json.dumps(manifest, indent=1, ensure_ascii=False, sort_keys=True)
    write_text(make_folder(run) / _account(process), text + "\n")


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
        images of all its processes.

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


_NUMBER = int | float
_NORMS = {"delta_norm": [_NUMBER], "delta_norm_relative": [_NUMBER]}
_ERROR = {"median!": _NUMBER, "largest!": _NUMBER}
_FORM = {
    "settings": {
        "sparsities": [_NUMBER],
        "image_count": int,
        "batch_size?": int,
        "with": [str],
        "mask?": str,
        "precision": str,
        "seed?": int,
    },
    "weights": {},
    "images": {"folder?": str, "count": int},
    "masks": [str],
    "layers": [{"name!": str, "size!": int, "achieved_sparsity!": [_NUMBER], **_NORMS}],
    "labels": {table: [str] for table in ("kinds", "layers", "controls")},
    "sessions": [
        {
            "started!": str,
            "command?": str | list,
            "versions": {},
            "precision_error?": {"first_order!": _ERROR, "drift!": _ERROR},
        }
    ],
    "skipped": [{"image!": str}],
    "finished?": str,
    **_NORMS,
}
"""What is read of a manifest, see :func:`misfit`."""


def _format(manifest: Mapping[str, Any]) -> Any:
    return manifest.get("format", 1)


def _account(process: int) -> str:
    return PROCESS.format(process) if process else MANIFEST


def _accounts(run: Path) -> list[Path]:
    """List the manifests of a run's processes; any one of them will do."""
    first = run / MANIFEST
    return [first] * first.exists() + sorted(run.glob("process-*.json"))


_ENTRIES = {"sessions": "started", "skipped": "image"}
"""Lists in a manifest, and what each of their entries has."""


def _together(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Merge the manifests of two processes; each is right about its own sessions."""
    both = dict(one)
    for field, key in _ENTRIES.items():
        entries = [*one.get(field, []), *other.get(field, [])]
        # Two processes may start in one second.
        kept = {(entry[key], entry.get("process_index", 0)): entry for entry in entries}
        both[field] = list(kept.values())
    ends = [each["finished"] for each in (one, other) if each.get("finished")]
    both["finished"] = max(ends, default=None)
    return both


def _read_object(path: Path) -> dict[str, Any]:
    check_regular(path)
    try:
        found = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}; make it readable"
        raise InputError(message) from None
    except ValueError as error:
        message = f"{path} is damaged ({error}); start the run again in a new folder"
        raise InputError(message) from None
    if odd := misfit(found, _FORM):
        message = f"{path} is damaged ({odd}); start the run again in a new folder"
        raise InputError(message)
    if type(_format(found)) is not int or not 1 <= _format(found) <= FORMAT:
        message = (
            f"{path} has format {_brief(_format(found))}, but this version of "
            f"prefiqs-jax knows 1 to {FORMAT}; use the version that wrote it"
        )
        raise InputError(message)
    return {"sessions": [], "skipped": [], "finished": None} | found


def misfit(found: Any, form: Any, where: str = "it") -> str | None:
    """Say what of a value that was read from JSON is not of a form, None if nothing.

    A form is a type or several, a list of one form for all entries, or a dict of the
    forms of keys: those that end in ``!`` must be there, those in ``?`` may be null.

    >>> misfit({"a": [1, "b"]}, {"a": [int]}), misfit({}, {"a!": int})
    ('a[1] is of the type str', 'a is missing')
    """
    kind: Any = type(form) if isinstance(form, list | dict) else form
    if not isinstance(found, kind) or isinstance(found, bool):
        return f"{where} is of the type {type(found).__name__}"
    if isinstance(found, int) and abs(found) >= 2**63:
        return f"{where} is too large"
    parts: list[tuple[Any, Any, str]] = []
    if isinstance(form, list) and isinstance(found, list):
        parts = [(each, form[0], f"{where}[{n}]") for n, each in enumerate(found)]
    elif isinstance(form, dict) and isinstance(found, dict):
        for key, each in form.items():
            name, mark = key.rstrip("!?"), key[-1]
            place = name if where == "it" else f"{where}.{name}"
            if name not in found:
                if mark == "!":
                    return f"{place} is missing"
            elif found[name] is not None or mark != "?":
                parts.append((found[name], each, place))
    return next((odd for part in parts if (odd := misfit(*part))), None)


def read(
    run: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    table: str | None = None,
) -> "pd.DataFrame":
    """Read the rows of a run or of several, or one of their tables.

    Parameters
    ----------
    run
        Folder that ``prefiqs sweep --out`` wrote, finished or not; or several.
    table
        ``"layers"``, ``"kinks"`` or ``"controls"``, which ``prefiqs sweep --with``
        adds; None = the rows.

    Returns
    -------
    pandas.DataFrame
        Columns of :class:`prefiqs_jax.results.DriftRow`, in its order, and those that
        ``--with`` added, by image, then by sparsity. Of a table: mask, image, identity,
        sparsity, its label (layer, activation or control) and its numbers, see
        :data:`prefiqs_jax.results.TABLES`. Of several runs a column ``run`` comes
        first, the folder as given.

    Raises
    ------
    InputError
        If the folder is no run, holds no rows yet, a part cannot be read, is damaged,
        has other columns or belongs to another run, or the run has no such table.
    """
    from prefiqs_jax.results.schema import TABLES, columns_of, schema_of
    from prefiqs_jax.results.tables import unfold

    if isinstance(run, Sequence) and not isinstance(run, str):
        import pandas as pd

        if not run:
            message = "there is no run to read; give the folder of at least one"
            raise InputError(message)
        keys = [os.fspath(each) for each in run]
        every = pd.concat([read(each, table) for each in run], keys=keys, names=["run"])
        return every.reset_index("run").reset_index(drop=True)
    manifest = read_manifest(run)
    settings, labelled = manifest.get("settings", {}), _format(manifest) == FORMAT
    if labelled and "sparsities" not in settings:
        message = f"{run} holds no sweep; give the folder of prefiqs sweep --out"
        raise InputError(message)
    extras, labels = settings.get("with", []), manifest.get("labels", {})
    if table is not None and table not in labels:
        has = ", ".join(labels) or "none"
        message = (
            f"{run} has no table {table!r} (it has {has}); make the run by prefiqs "
            f"sweep --with {table}"
        )
        raise InputError(message)
    unnamed = [name for name in TABLES if name in extras and name not in labels]
    if unnamed:
        message = f"{run}: {MANIFEST} is damaged (labels.{unnamed[0]} is missing)"
        raise InputError(message)
    schema = schema_of(extras, labels)
    found = read_tables(run, schema, settings, labelled=labelled)
    if table is not None:
        return unfold(found, table, labels[table])
    return found.select(columns_of(extras)).to_pandas()


def _brief(value: Any, limit: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
