"""A plain pairs.csv: two pictures a line, and whether they show one person."""

import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.columns import CHUNK_LINES, Column, Names, numbered
from prefiqs_jax.benchmarks.comparisons import check_comparisons, counted
from prefiqs_jax.benchmarks.pictures import find_pictures, picture_folder, take_used
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder

HEADERS = (("image_a", "image_b", "mated"), ("img1_id", "img2_id", "label"))
_LABELS: Mapping[str, int] = {"1": 1, "0": 0, "true": 1, "false": 0}


def read_pairs_table(
    path: Path, images: Path | None = None, identity_level: int | None = None
) -> Benchmark:
    """Read a table of comparisons with a header.

    Parameters
    ----------
    path
        A CSV file with the columns ``image_a,image_b,mated`` (or
        ``img1_id,img2_id,label``, as in newer papers) in any order; others are ignored.
        Pictures are paths below the folder, with or without extension; ``mated`` is 1
        or 0, true or false.
    images
        Folder of the pictures; None for ``images`` beside the table, or else its own.
    identity_level
        How many folders name the person, see :func:`prefiqs_jax.images.read_folder`.

    Returns
    -------
    Benchmark
        Identities are those of the folder if every comparison agrees with them.

    Raises
    ------
    InputError
        If the table is unreadable, columns are missing, a line is malformed, a picture
        is absent, or the comparisons contradict each other.
    """
    one, other, mated = _read(path)
    names, (first, second) = numbered(one, other)
    notes = check_comparisons(path, names, first, second, mated)
    folder = picture_folder(path, images, ("images",), identity_level)
    found = find_pictures(path, folder, names)
    used, (first, second), left_out = take_used(folder, found[first], found[second])
    used, doubts = _agreeing(used, first, second, mated)
    stem = path.stem
    return Benchmark(
        name=path.resolve().parent.name if stem == "pairs" else stem,
        kind="pairs",
        images=used,
        first=first,
        second=second,
        mated=mated,
        identities=used.identities,
        identity_source=used.identity_source,
        notes=(*notes, *folder.notes, *left_out, *doubts),
    )


def _read(path: Path) -> tuple[Names, Names, Bool[np.ndarray, " comparisons"]]:
    import pandas as pd

    form: dict[str, Any] = {
        "dtype": str,
        "na_filter": False,
        "index_col": False,
        "skip_blank_lines": False,
        "skipinitialspace": True,
        "encoding": "utf-8-sig",
    }
    parts = Column("name"), Column("name"), Column("whole")
    try:
        header = list(pd.read_csv(path, nrows=0, **form).columns)
        columns = _columns(path, header)
        chunks: Any = pd.read_csv(path, chunksize=CHUNK_LINES, **form)
        with chunks:
            for chunk in chunks:
                _add(path, [chunk[column].str.strip() for column in columns], parts)
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise InputError(message) from None
    except UnicodeDecodeError:
        message = f"{path} is not UTF-8 text; save it as CSV UTF-8"
        raise InputError(message) from None
    except pd.errors.EmptyDataError:
        message = f"{path} is empty; its first line should be {','.join(HEADERS[0])}"
        raise InputError(message) from None
    except (pd.errors.ParserError, csv.Error) as error:
        what = " ".join(str(error).split()).removeprefix("Error tokenizing data. ")
        message = f"{path} is no valid CSV ({what}); export it again"
        raise InputError(message) from None
    one, other, mated = (part.whole() for part in parts)
    return one, other, mated == 1


def _add(path: Path, chosen: list[Any], parts: Sequence[Column]) -> None:
    """Add lines to the columns; blank ones, at the end mostly, say nothing."""
    filled = [(each != "") for each in chosen]
    some = filled[0] | filled[1] | filled[2]
    one, other, label = (each[some] for each in chosen)
    mated = label.str.lower().map(_LABELS)
    if mated.isna().any():
        line = int(mated.index[mated.isna()][0])
        message = (
            f"{path}, line {line + 2}: {str(label[line])[:40]!r} does not say "
            "whether the pair is mated; write 1 or 0"
        )
        raise InputError(message)
    missing = some & ~(filled[0] & filled[1])
    if missing.any():
        message = f"{path}, line {int(missing.idxmax()) + 2}: a picture is missing"
        raise InputError(message)
    for part, piece in zip(parts, (one, other, mated.astype(np.int64)), strict=True):
        part.add(piece)


def _columns(path: Path, found: list[str]) -> tuple[str, ...]:
    raw = {name.strip(): name for name in found}
    for header in HEADERS:
        if set(header) <= set(raw):
            return tuple(raw[name] for name in header)
    message = (
        f"{path} has the columns {', '.join(found)[:80]}; it needs "
        f"{','.join(HEADERS[0])} in its first line, with commas between"
    )
    raise InputError(message)


def _agreeing(
    folder: ImageFolder,
    first: Int[np.ndarray, " comparisons"],
    second: Int[np.ndarray, " comparisons"],
    mated: Bool[np.ndarray, " comparisons"],
) -> tuple[ImageFolder, tuple[str, ...]]:
    """Keep the folder's identities only if no comparison contradicts them."""
    unknown = dataclasses.replace(
        folder, identities=(None,) * len(folder.names), identity_source=None
    )
    if not all(folder.identities):
        return unknown, ()
    _, person = np.unique(np.array(folder.identities, str), return_inverse=True)
    contradictions = int(((person[first] == person[second]) != mated).sum())
    if not contradictions:
        return folder, ()
    what = counted(contradictions, "comparison")
    note = (
        f"{what} contradict {folder.identity_source}: identities are taken as unknown"
    )
    return unknown, (note,)
