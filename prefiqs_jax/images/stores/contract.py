"""What every store promises, so that any of them can be behind a folder's names."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from prefiqs_jax.images.decode import Decoded
from prefiqs_jax.images.opening import NeededSize


@runtime_checkable
class Store(Protocol):
    """Gives images by their names, one at a time, to many threads at once.

    A frozen record: nothing that is decoded stays in it.
    """

    @property
    def sha256(self) -> str:
        """Digest that tells folders of the same names apart; empty if unknown."""
        ...

    def source(self, root: Path, name: str) -> Path | None:
        """Return the file that an image is read from; None if `sha256` covers it."""
        ...

    def check(self, root: Path, name: str, needed: NeededSize | None) -> None:
        """Find out, without decoding, whether an image can be used.

        Raises BadImage if it is absent, unreadable or of another size than needed, if
        one is; damage below its header shows only in `load`.
        """
        ...

    def load(self, root: Path, name: str, needed: NeededSize | None) -> Decoded:
        """Decode an image; parameters and errors as those of `check`."""
        ...
