"""Images of faces anywhere, aligned by their five points while they are loaded."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.decode import Decoded, fit
from prefiqs_jax.images.geometry import similarity, template_named, warp
from prefiqs_jax.images.opening import ARCFACE_SIZE, BadImage, NeededSize, check_size
from prefiqs_jax.images.stores.contract import Store
from prefiqs_jax.images.stores.files import FILES


@dataclasses.dataclass(frozen=True, eq=False)
class Landmarked:
    """Every name has an image of any size and the landmarks of one face in it.

    What comes out is aligned to the ArcFace template, 112×112 pixels. Any five points
    that differ will do, as in the protocols that give them: a detector may place those
    of a profile or of a face upside down in another order.
    """

    landmarks: Float[np.ndarray, "images 5 2"]
    """x and y in pixels of left eye, right eye, nose, left and right corner of the
    mouth, left and right as they are seen."""
    row: Mapping[str, int]
    """Row of `landmarks` by name."""
    store: Store = FILES
    """Where the images themselves are."""

    @property
    def sha256(self) -> str:
        """Digest of the landmarks and of the store behind."""
        digest = hashlib.sha256(b"arcface 112x112\n")
        digest.update("\n".join(f"{n} {row}" for n, row in self.row.items()).encode())
        digest.update(np.ascontiguousarray(self.landmarks, np.float64).tobytes())
        digest.update(self.store.sha256.encode())
        return digest.hexdigest()

    def source(self, root: Path, name: str) -> Path | None:
        """Return the file of the image before alignment."""
        return self.store.source(root, name)

    def check(self, root: Path, name: str, needed: NeededSize | None) -> None:
        """Check the header and the size after alignment, as :class:`Store` says."""
        self._points(name)
        self.store.check(root, name, None)
        if needed:
            check_size(name, ARCFACE_SIZE, needed)

    def load(self, root: Path, name: str, needed: NeededSize | None) -> Decoded:
        """Decode and align an image; errors as :class:`Store` says."""
        points = self._points(name)
        if needed:
            check_size(name, ARCFACE_SIZE, needed)
        found = self.store.load(root, name, None)
        template = template_named("arcface")
        try:
            matrix = similarity(points, template.points)
        except InputError as error:
            raise BadImage(name, f"cannot be aligned: {error}") from None
        pixels = warp(found.pixels, matrix, template.height, template.width)
        return fit(Decoded(pixels, found.conversions), name, needed)

    def _points(self, name: str) -> Float[np.ndarray, "5 2"]:
        if name not in self.row:
            raise BadImage(name, "has no landmarks")
        points = self.landmarks[self.row[name]]
        if not np.isfinite(points).all():
            raise BadImage(name, "has landmarks that are not finite")
        return points
