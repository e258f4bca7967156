"""CSV tables about images: opened with errors of one line."""

import contextlib
import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from prefiqs_jax.errors import InputError
from prefiqs_jax.files import check_regular


@contextlib.contextmanager
def open_table(path: Path) -> Iterator[TextIO]:
    """Open a CSV file; errors as :func:`reading`."""
    with (
        reading(path, "CSV UTF-8"),
        path.open(encoding="utf-8-sig", newline="") as file,
    ):
        yield file


@contextlib.contextmanager
def reading(path: Path, form: str = "UTF-8") -> Iterator[None]:
    """Raise InputError that names the file if it is unreadable, no UTF-8 or no CSV."""
    check_regular(path)
    try:
        yield
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise InputError(message) from None
    except UnicodeDecodeError:
        message = f"{path} is not UTF-8 text; save it as {form}"
        raise InputError(message) from None
    except csv.Error as error:
        message = f"{path} is no valid CSV ({error}); export it again"
        raise InputError(message) from None


def delimiter_of(file: TextIO) -> str:
    """Read Excel's first line, such as ``sep=;``; a comma where there is none."""
    start = file.tell()
    mark = re.fullmatch(r"sep=(.)\s*", file.readline())
    if mark is None:
        file.seek(start)
    return mark[1] if mark else ","


def csv_rows(file: TextIO) -> tuple[list[str], Iterator[dict[str, str | None]]]:
    """Give the columns of a CSV file, and its rows by column."""
    reader = csv.DictReader(file, delimiter=delimiter_of(file), skipinitialspace=True)
    columns = [column.strip() for column in reader.fieldnames or ()]
    reader.fieldnames = columns
    return columns, reader


def image_named(row: dict[str, str | None]) -> str:
    """Give the image that a row's column ``file`` names; empty if none."""
    return (row["file"] or "").strip().replace("\\", "/").removeprefix("./")
