"""Images that are plain files below the folder's root."""

import dataclasses
from pathlib import Path

from prefiqs_jax.images.decode import Decoded, decode_file
from prefiqs_jax.images.opening import NeededSize, check_header, regular_file


@dataclasses.dataclass(frozen=True)
class Files:
    """Every name is the path of a file below the root."""

    @property
    def sha256(self) -> str:
        """Empty: see :mod:`prefiqs_jax.images.inventory` for the content of files."""
        return ""

    def source(self, root: Path, name: str) -> Path:
        """Return the path of the file."""
        return root / name

    def check(self, root: Path, name: str, needed: NeededSize | None) -> None:
        """Parse the header of a file; errors as :class:`Store` says."""
        with regular_file(root / name, name) as file:
            check_header(file, name, needed)

    def load(self, root: Path, name: str, needed: NeededSize | None) -> Decoded:
        """Decode a file; errors as :class:`Store` says."""
        return decode_file(root / name, name, needed)


FILES = Files()
"""The store of a folder that `read_folder` listed."""
