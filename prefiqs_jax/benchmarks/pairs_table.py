"""A plain pairs.csv: two pictures a line, and whether they show one person."""

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from prefiqs_jax.benchmarks.benchmark import Benchmark
from prefiqs_jax.benchmarks.columns import numbered
from prefiqs_jax.benchmarks.comparisons import check_comparisons
from prefiqs_jax.benchmarks.pictures import find_pictures, picture_folder, take_used
from prefiqs_jax.benchmarks.wording import counted
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder

HEADERS = (("image_a", "image_b", "mated"), ("img1_id", "img2_id", "label"))
_LABELS: Mapping[str, bool] = {"1": True, "0": False, "true": True, "false": False}


def read_pairs_table(path: Path, images: Path | None = None) -> Benchmark:
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
    folder = picture_folder(path, images, ("images",))
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
        templates=None,
        identities=used.identities,
        identity_source=used.identity_source,
        severity=None,
        notes=(*notes, *left_out, *doubts),
    )


def _read(path: Path) -> tuple[Any, Any, Bool[np.ndarray, " comparisons"]]:
    import pandas as pd

    try:
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig", skipinitialspace=True)
        columns = _columns(path, [str(each).strip() for each in header.columns])
        table = pd.read_csv(
            path,
            dtype="category",
            na_filter=False,
            index_col=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            encoding="utf-8-sig",
        )
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
    table.columns = [str(each).strip() for each in table.columns]
    chosen = [table[column] for column in columns]
    # A blank line, at the end mostly, says nothing.
    blank = np.logical_and.reduce([(each == "").to_numpy() for each in chosen])
    mated = _mated(path, chosen[2], blank)
    pictures = [each[~blank].array.remove_unused_categories() for each in chosen[:2]]
    for each in pictures:
        if "" in each.categories:
            line = int(np.flatnonzero((table[columns[0]] == "") ^ blank)[0])
            message = f"{path}, line {line + 2}: a picture is missing"
            raise InputError(message)
    return pictures[0], pictures[1], mated


def _columns(path: Path, found: list[str]) -> tuple[str, ...]:
    for header in HEADERS:
        if set(header) <= set(found):
            return header
    message = (
        f"{path} has the columns {', '.join(found)[:80]}; it needs "
        f"{','.join(HEADERS[0])} in its first line, with commas between"
    )
    raise InputError(message)


def _mated(
    path: Path, labels: Any, blank: Bool[np.ndarray, " lines"]
) -> Bool[np.ndarray, " comparisons"]:
    meaning = [_LABELS.get(str(each).strip().lower()) for each in labels.cat.categories]
    unknown = np.array([each is None for each in meaning], bool)
    codes = labels.cat.codes.to_numpy()
    bad = np.flatnonzero(unknown[codes] & ~blank) if len(codes) else codes
    if len(bad):
        line = int(bad[0])
        message = (
            f"{path}, line {line + 2}: {str(labels.iloc[line])[:40]!r} does not say "
            "whether the pair is mated; write 1 or 0"
        )
        raise InputError(message)
    return np.array([bool(each) for each in meaning], bool)[codes[~blank]]


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
