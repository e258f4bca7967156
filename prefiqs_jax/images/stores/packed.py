"""Images whose encoded bytes are in memory, as they were in one large file."""

import dataclasses
import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

from prefiqs_jax.images.decode import Decoded, decode_bytes
from prefiqs_jax.images.opening import BadImage, NeededSize, check_header


@dataclasses.dataclass(frozen=True, eq=False)
class Packed:
    """Every name has bytes: those of a JPEG or PNG file, say."""

    images: Mapping[str, bytes]
    """Encoded images by name."""

    @property
    def sha256(self) -> str:
        """Digest of all bytes, in the order of the names given."""
        digest = hashlib.sha256()
        for data in self.images.values():
            digest.update(hashlib.sha256(data).digest())
        return digest.hexdigest()

    def source(self, root: Path, name: str) -> None:
        """Return None: `sha256` covers all bytes."""

    def check(self, root: Path, name: str, needed: NeededSize | None) -> None:
        """Parse a header; errors as :class:`Store` says."""
        check_header(io.BytesIO(self._data(root, name)), name, needed)

    def load(self, root: Path, name: str, needed: NeededSize | None) -> Decoded:
        """Decode the bytes; errors as :class:`Store` says."""
        return decode_bytes(self._data(root, name), name, needed)

    def _data(self, root: Path, name: str) -> bytes:
        if name not in self.images:
            raise BadImage(name, f"is not in {root}")
        data = self.images[name]
        if not data:
            raise BadImage(name, "is empty (0 bytes)")
        return data
