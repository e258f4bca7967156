"""A plain pairs.csv: two images a line, and whether they show one person."""

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.benchmarks.benchmark import Benchmark, Comparisons
from prefiqs_jax.benchmarks.columns import numbered
from prefiqs_jax.benchmarks.compared import Compared, compared_images
from prefiqs_jax.benchmarks.comparisons import counted
from prefiqs_jax.benchmarks.format import Format
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.images.tables import delimiter_of, reading

HEADERS = (("image_a", "image_b", "mated"), ("img1_id", "img2_id", "label"))
_LABELS: Mapping[str, int] = {"1": 1, "0": 0, "true": 1, "false": 0}


def read_pairs_table(
    path: Path, images: Path | None = None, identity_level: int | None = None
) -> Benchmark:
    """Read a CSV table of comparisons with a header.

    It has the columns ``image_a,image_b,mated`` (or ``img1_id,img2_id,label``, as in
    newer papers) in any order; others are ignored. Images are paths below the folder,
    with or without extension; ``mated`` is 1 or 0, true or false. The folder is
    `images`, or else ``images`` beside the table, or its own. Identities are those of
    the folder (see :func:`prefiqs_jax.images.read_folder`) if every comparison agrees
    with them. InputError if columns are missing, a line is malformed, or an image is
    absent.
    """
    names, comparisons = _comparisons(path, *_read(path))
    found = compared_images(
        path,
        names,
        comparisons,
        images=images,
        usual=("images",),
        identity_level=identity_level,
    )
    used, doubts = _agreeing(found)
    return Benchmark(
        name=path.resolve().parent.name if path.stem == "pairs" else path.stem,
        kind="pairs",
        images=used,
        **found.comparisons._asdict(),
        identities=used.identities,
        identity_source=used.identity_source,
        notes=(*found.repeats, *found.images.notes, *found.left_out, *doubts),
    )


def _read(path: Path) -> list[Any]:
    """Read the columns of the images and of the label, as Series of text."""
    import pandas as pd

    form: dict[str, Any] = {
        "dtype": str,
        "na_filter": False,
        "index_col": False,
        "skip_blank_lines": False,
        "skipinitialspace": True,
    }
    with reading(path), path.open(encoding="utf-8-sig", newline="") as file:
        try:
            table = pd.read_csv(file, sep=delimiter_of(file), **form)
        except pd.errors.EmptyDataError:
            expected = ",".join(HEADERS[0])
            message = f"{path} is empty; its first line should be {expected}"
            raise InputError(message) from None
        except (pd.errors.ParserError, csv.Error) as error:
            what = " ".join(str(error).split())
            what = what.removeprefix("Error tokenizing data. ")
            message = f"{path} is no valid CSV ({what}); export it again"
            raise InputError(message) from None
    raw = {name.strip(): name for name in table.columns}
    for header in HEADERS:
        if set(header) <= set(raw):
            return [table[raw[name]].str.strip() for name in header]
    message = (
        f"{path} has the columns {', '.join(table.columns)[:80]}; it needs "
        f"{','.join(HEADERS[0])} in its first line, with commas between"
    )
    raise InputError(message)


def _comparisons(
    path: Path, one: Any, other: Any, label: Any
) -> tuple[list[str], Comparisons]:
    """Give the names of the images, and the comparisons of them."""
    # Blank lines, at the end mostly, say nothing.
    some = (one != "") | (other != "") | (label != "")
    mated = label.str.lower().map(_LABELS)
    unclear = some & mated.isna()
    if unclear.any():
        line = int(unclear.idxmax())
        message = (
            f"{path}, line {line + 2}: {label[line][:40]!r} does not say whether the "
            "pair is mated; write 1 or 0"
        )
        raise InputError(message)
    missing = some & ((one == "") | (other == ""))
    if missing.any():
        message = f"{path}, line {int(missing.idxmax()) + 2}: an image is missing"
        raise InputError(message)
    columns = [each[some].astype("category").array for each in (one, other)]
    names, (first, second) = numbered(*columns)
    return names, Comparisons(first, second, mated[some].to_numpy() == 1)


def _agreeing(found: Compared) -> tuple[ImageFolder, tuple[str, ...]]:
    """Keep the folder's identities only if no comparison contradicts them."""
    folder = found.images
    unknown = dataclasses.replace(
        folder, identities=(None,) * len(folder.names), identity_source=None
    )
    if not all(folder.identities):
        return unknown, ()
    _, person = np.unique(np.array(folder.identities, str), return_inverse=True)
    first, second, mated = found.comparisons
    contradictions = int(((person[first] == person[second]) != mated).sum())
    if not contradictions:
        return folder, ()
    what = counted(contradictions, "comparison")
    note = (
        f"{what} contradict {folder.identity_source}: identities are taken as unknown"
    )
    return unknown, (note,)


FORMAT = Format(
    kind="pairs",
    description="a table pairs.csv: image_a,image_b,mated",
    mark="pairs.csv",
    ending=".csv",
    read=read_pairs_table,
)
