"""The folder of an evaluation, used by one process at a time."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from prefiqs_jax.benchmarks import copy_named
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import LOCK, make_folder, write_text
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.images.folder import IDENTITY_TABLE
from prefiqs_jax.outputs import LEDGER, check_outputs, is_unused, write_outputs
from prefiqs_jax.results.run_folder import keep_folder

MARKER = "evaluation.json"
MEASURED = "measured"
"""Folder of what the networks gave, in parts; an evaluation that is run again reads
them. Of a benchmark of all pairs it has an ``images.csv``, too: who is on each image;
a degraded copy is known by its name."""
PRUNED = "pruned"
"""The same of pruned networks: benchmark, network, sparsity."""


def marker() -> dict[str, str]:
    """Return name and content of the file that marks a folder as an evaluation's."""
    return {MARKER: '{"format": 1}\n'}


@contextlib.contextmanager
def claim_evaluation(out: str | os.PathLike[str]) -> Iterator[None]:
    """Make or continue the folder of an evaluation, and lock it.

    Raises InputError if it is a file, holds anything else, cannot be written, or
    another process works there.
    """
    out = Path(out)
    _check(out)
    with keep_folder(out, "prefiqs edc") as is_new:
        _check(out)
        check_outputs(out, marker())
        if not (out / MARKER).exists():
            write_outputs(out, marker(), locked=True)
        try:
            yield
        except BaseException:
            if is_new and not _holds_work(out):
                shutil.rmtree(out / MEASURED, ignore_errors=True)
                for name in (MARKER, LEDGER):
                    (out / name).unlink()
            raise


def keep_identities(folder: Path, images: ImageFolder) -> None:
    """Write who is on each image but the degraded copies, as ``images.csv``."""
    import pandas as pd

    table = pd.DataFrame({"file": images.names, "identity": images.identities})
    originals = [copy_named(name) is None for name in images.names]
    text = table.loc[originals].to_csv(index=False)
    path = make_folder(folder) / IDENTITY_TABLE
    # The same command again leaves the folder as it is.
    if not path.is_file() or path.read_bytes() != text.encode():
        write_text(path, text)


def _check(out: Path) -> None:
    if out.exists() and not out.is_dir():
        message = f"{out} is a file; give a folder for the evaluation"
        raise InputError(message)
    if out.exists() and not (out / MARKER).exists() and not is_unused(out):
        message = f"{out} is not empty and holds no evaluation; give another --out"
        raise InputError(message)


def _holds_work(out: Path) -> bool:
    """Return whether there is any file but those that mark the folder."""
    files = (path for path in out.rglob("*") if not path.is_dir())
    return any(path.name not in (MARKER, LEDGER, LOCK) for path in files)
