"""Images that are pixels in memory."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from prefiqs_jax.images.decode import Decoded, fit
from prefiqs_jax.images.opening import BadImage, NeededSize


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays:
    """Every name has pixels."""

    images: Mapping[str, np.ndarray]
    """By name, each of shape (height, width, 3), uint8, RGB."""
    conversions: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    """What was done to get them, by name, such as ``("grey to RGB",)``."""

    @property
    def sha256(self) -> str:
        """Digest of all pixels, in the order of the names given."""
        digest = hashlib.sha256()
        for pixels in self.images.values():
            digest.update(f"{pixels.shape}\n".encode())
            digest.update(np.ascontiguousarray(pixels).data)
        return digest.hexdigest()

    def source(self, root: Path, name: str) -> None:
        """Return None: `sha256` covers all pixels."""

    def check(self, root: Path, name: str, needed: NeededSize | None) -> None:
        """Compare the size; errors as :class:`Store` says."""
        self.load(root, name, needed)

    def load(self, root: Path, name: str, needed: NeededSize | None) -> Decoded:
        """Give the pixels; errors as :class:`Store` says."""
        if name not in self.images:
            raise BadImage(name, f"is not in {root}")
        known = Decoded(self.images[name], self.conversions.get(name, ()))
        return fit(known, name, needed)
