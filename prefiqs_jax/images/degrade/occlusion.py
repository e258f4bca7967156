"""Something in front of the face."""

import numpy as np

from prefiqs_jax.images.degrade.pixels import blend, template_grid

# In px of the template.
_CENTRE = (36.0, 76.0)
_SIDE = 84.0
# Greatest ratio of width to height, and its inverse the smallest.
_ASPECT = 1.5


def block_occlusion(
    picture: np.ndarray, severity: float, rng: np.random.Generator
) -> np.ndarray:
    """Cover a rectangle of one random colour, about a random point of the face.

    Its side, the root of its area, grows to 75 % of the picture's at severity 1; a part
    may lie outside. A block of a higher severity covers that of a lower one.
    """
    centre_x, centre_y = rng.uniform(*_CENTRE, 2)
    aspect = _ASPECT ** rng.uniform(-1, 1)
    colour = rng.uniform(0, 255, 3).astype(np.float32)
    side = _SIDE * severity
    x, y = template_grid(picture)
    # Half a pixel more or less at the edge is covered in part: smooth in severity.
    across = np.clip(side * np.sqrt(aspect) / 2 - abs(x - centre_x) + 0.5, 0, 1)
    down = np.clip(side / np.sqrt(aspect) / 2 - abs(y - centre_y) + 0.5, 0, 1)
    return blend(picture, colour, across * down)
