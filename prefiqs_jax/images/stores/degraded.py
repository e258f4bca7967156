"""Images that are degraded copies of others, made while they are loaded."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prefiqs_jax.images.decode import Decoded, fit
from prefiqs_jax.images.opening import NeededSize
from prefiqs_jax.images.stores.contract import Store
from prefiqs_jax.images.stores.files import FILES


class Recipe(NamedTuple):
    """How one copy is made; see :func:`prefiqs_jax.images.degrade.degrade`."""

    original: str
    """Name of the image that is degraded."""
    degradation: str
    severity: float
    """In [0, 1]."""
    seed: int


@dataclasses.dataclass(frozen=True, eq=False)
class Degraded:
    """Names that have a recipe are copies; all others are as the store behind has them.

    Images are degraded before they are cut to a narrower template, as masks and
    glasses sit right on faces aligned to the ArcFace template.
    """

    recipes: Mapping[str, Recipe]
    """By the name of the copy."""
    store: Store = FILES
    """Where the originals are."""

    @property
    def sha256(self) -> str:
        """Digest of the recipes and of the store behind."""
        digest = hashlib.sha256(self.store.sha256.encode())
        for name, recipe in self.recipes.items():
            digest.update(f"{name}\n{tuple(recipe)}\n".encode())
        return digest.hexdigest()

    def source(self, root: Path, name: str) -> Path | None:
        """Return the file of the original."""
        return self.store.source(root, self._original(name))

    def check(self, root: Path, name: str, needed: NeededSize | None) -> None:
        """Check the original, as :class:`Store` says, under the name of the copy."""
        self.store.check(root, self._original(name), needed)

    def load(self, root: Path, name: str, needed: NeededSize | None) -> Decoded:
        """Decode the original and degrade it; errors as :class:`Store` says."""
        # SciPy's filters take as long to import as all other modules of images.
        from prefiqs_jax.images.degrade import degrade

        recipe = self.recipes.get(name)
        if recipe is None:
            return self.store.load(root, name, needed)
        found = self.store.load(root, recipe.original, None)
        pixels = degrade(
            found.pixels, recipe.degradation, recipe.severity, seed=recipe.seed
        )
        return fit(Decoded(pixels, found.conversions), name, needed)

    def _original(self, name: str) -> str:
        recipe = self.recipes.get(name)
        return name if recipe is None else recipe.original
