"""Where the five landmarks of a face lie in an aligned image."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prefiqs_jax.errors import InputError

LANDMARKS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
"""Order of the five landmarks; left and right as seen in the image."""


class Template(NamedTuple):
    """A size of image and the places of the five landmarks in it."""

    height: int
    """In pixels."""
    width: int
    """In pixels."""
    points: Float[np.ndarray, "5 2"]
    """x and y of :data:`LANDMARKS`, in pixels; (0, 0) is the centre of the first."""


_WIDE_PX, _SIDE_PX = 112, 128
_MARGIN_PX = 8
# Given for an image that is 96 wide; ArcFace's has 8 columns more on either side.
_NARROW = (
    (30.2946, 51.6963),
    (65.5318, 51.5014),
    (48.0252, 71.7366),
    (33.5493, 92.3655),
    (62.7299, 92.2041),
)


def _make(width: int) -> Template:
    points = np.array(_NARROW)
    points[:, 0] += (width - 96) / 2
    points.flags.writeable = False
    return Template(_WIDE_PX, width, points)


TEMPLATES = {"arcface": _make(112), "narrow": _make(96), "sphereface": _make(96)}
"""Names on the command line.

``arcface`` is 112×112; ``sphereface`` is 96 wide and 112 high (Liu et al., 2017), the
points from which ArcFace's were made by adding 8 px to x; ``narrow`` is another name of
it, for networks such as the 96 wide MobileFaceNet that SphereFace's name would mislead.
"""


def template_named(name: str, size: int | None = None) -> Template:
    """Find a template by its name, and scale it.

    Parameters
    ----------
    name
        One of :data:`TEMPLATES`.
    size
        Height of the image in pixels; None for the template's own. A multiple of 112
        scales the template. A multiple of 128, for ``arcface`` only, adds a margin as
        insightface does: with r = size / 128, points times r, and 8 r more in x.

    Returns
    -------
    Template
        The template in that size.

    Raises
    ------
    InputError
        If there is no such template, or it does not come in that size.

    References
    ----------
    Deng et al. (2019). ArcFace: Additive Angular Margin Loss for Deep Face Recognition.
    CVPR. Points and rule of sizes are those of its reference implementation.

    Liu et al. (2017). SphereFace: Deep Hypersphere Embedding for Face Recognition.
    CVPR. Points of the 96 wide image.

    Examples
    --------
    >>> template_named("arcface").points[0]
    array([38.2946, 51.6963])
    >>> template_named("arcface", 128).points[0]
    array([46.2946, 51.6963])
    >>> template_named("narrow", 224)[:2]
    (224, 192)
    """
    if name not in TEMPLATES:
        message = f"there is no template {name!r}; choose from {', '.join(TEMPLATES)}"
        raise InputError(message)
    template = TEMPLATES[name]
    if size is None or size == template.height:
        return template
    if size > 0 and size % _WIDE_PX == 0:
        times = size // _WIDE_PX
        return Template(size, template.width * times, template.points * times)
    if size > 0 and size % _SIDE_PX == 0 and name == "arcface":
        times = size // _SIDE_PX
        margin = np.array([_MARGIN_PX * times, 0.0])
        return Template(size, size, template.points * times + margin)
    sizes = "112 or of 128" if name == "arcface" else "112"
    message = f"template {name} has no size {size}; give a multiple of {sizes}"
    raise InputError(message)
