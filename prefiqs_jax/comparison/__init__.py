"""Compare masks on one network and the same images: rows, tables, figures, a page."""

from prefiqs_jax.comparison.areas import Areas, mask_areas
from prefiqs_jax.comparison.run import compare

__all__ = ["Areas", "compare", "mask_areas"]
