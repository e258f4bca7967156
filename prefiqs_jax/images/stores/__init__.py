"""Where the images of a folder come from: files, memory, crops, degraded copies."""

from prefiqs_jax.images.stores.arrays import Arrays
from prefiqs_jax.images.stores.contract import Store
from prefiqs_jax.images.stores.degraded import Degraded, Recipe
from prefiqs_jax.images.stores.files import FILES, Files
from prefiqs_jax.images.stores.landmarked import Landmarked
from prefiqs_jax.images.stores.packed import Packed

__all__ = [
    "FILES",
    "Arrays",
    "Degraded",
    "Files",
    "Landmarked",
    "Packed",
    "Recipe",
    "Store",
]
