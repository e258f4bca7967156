"""One kind of benchmark: how it is known, and what reads it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from prefiqs_jax.benchmarks.benchmark import Benchmark


@dataclasses.dataclass(frozen=True)
class Format:
    """A kind that one file in a folder, or the end of a file's name, tells.

    Attributes
    ----------
    kind, description
        Word for ``--kind``, and a line about it.
    mark
        Name of the file by which a folder is known.
    ending
        End of the names of such files, in lower case.
    read
        Reads that file, given the folder of its images (None: beside it) and how many
        folders name the person (None: as :func:`prefiqs_jax.images.read_folder` finds).
    """

    kind: str
    description: str
    mark: str
    ending: str
    read: Callable[[Path, Path | None, int | None], Benchmark]
