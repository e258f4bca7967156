"""Images degraded by a known severity, with nothing else changed."""

import operator
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.images.degrade.blur import gaussian_blur, motion_blur
from prefiqs_jax.images.degrade.covers import block_occlusion, face_mask, sunglasses
from prefiqs_jax.images.degrade.detail import jpeg, low_resolution
from prefiqs_jax.images.degrade.geometry import rotation, scaling, translation
from prefiqs_jax.images.degrade.light import (
    darkness,
    low_contrast,
    over_exposure,
    sensor_noise,
)


@runtime_checkable
class Degradation(Protocol):
    """A function that degrades one image, the more so the higher the severity.

    The first line of its docstring says what it does; the rest says what a severity of
    1 means. Lengths scale with the side of the image, so that a severity looks alike
    in every size.
    """

    def __call__(
        self, image: np.ndarray, severity: float, rng: np.random.Generator, /
    ) -> np.ndarray:
        """Degrade one image.

        Parameters
        ----------
        image
            Shape (height, width, 3), uint8, RGB. Must not be changed.
        severity
            In (0, 1]: 0 never gets here, as the image then stays as it is.
        rng
            In the same state at every severity: draw first, in an order and number that
            do not depend on the severity, and let the severity only scale what was
            drawn. Then images at several severities differ in nothing else.

        Returns
        -------
        np.ndarray
            Same shape, any real dtype, on the scale of 0 to 255; `degrade` rounds to
            the nearest integer and clips.
        """
        ...


_BUILT_IN = (gaussian_blur, motion_blur, sensor_noise, jpeg, low_resolution, darkness)
_BUILT_IN += (over_exposure, low_contrast, block_occlusion, face_mask, sunglasses)
_BUILT_IN += (translation, rotation, scaling)
DEGRADATIONS: dict[str, Degradation] = {each.__name__: each for each in _BUILT_IN}
"""Every degradation by its name; a new one is a `Degradation` and an entry here."""


def degrade(
    images: np.ndarray, name: str, severity: ArrayLike, *, seed: ArrayLike = 0
) -> np.ndarray:
    """Degrade images by a known severity.

    What is random in a degradation, such as the direction of a blur or the field of a
    noise, is drawn alike at every severity: calls that differ only in `severity` give
    images that differ in nothing else.

    Parameters
    ----------
    images
        Shape (batch, height, width, 3) or, for one image, (height, width, 3); uint8,
        RGB. Masks and glasses sit right on faces aligned to the ArcFace template.
    name
        One of `DEGRADATIONS`.
    severity
        In [0, 1]; one number, or one per image. At 0 an image stays as it is, bit
        for bit; at 1 a face recogniser misses most mated pairs, but for masks and
        glasses, which leave it enough of the face, and errors of alignment, which stay
        within what detectors do.
    seed
        At least 0. One number: an image's draws then depend on its place in the batch,
        too. One per image: they depend on nothing else, and ``seed=[s]`` for a batch
        of one, as well as ``seed=s`` for one image, gives what ``s`` gave in any
        batch.

    Returns
    -------
    np.ndarray
        A new array; same shape, uint8.

    Raises
    ------
    InputError
        If the name is unknown, the images are of another shape or dtype, a severity
        is not in [0, 1], a seed is not a whole number of at least 0, or there is
        neither one of these nor one per image.

    Notes
    -----
    The same in every process and on every machine with the same versions of NumPy,
    SciPy and Pillow; other versions may draw other numbers or round otherwise.

    Examples
    --------
    >>> image = np.full((4, 4, 3), 200, np.uint8)
    >>> [int(degrade(image, "over_exposure", s).max()) for s in (0, 0.1, 1)]
    [200, 230, 255]
    """
    check_choice("degradation", name, DEGRADATIONS)
    function = DEGRADATIONS[name]
    single = np.ndim(images) == 3
    batch = _checked(images)[None] if single else _checked(images)
    severities = _severities(severity, len(batch))
    degraded = batch.copy()
    for index, key in enumerate(_seeds(seed, len(batch))):
        # Also keeps those exact that cannot be at 0, such as compression.
        if severities[index] == 0:
            continue
        result = function(batch[index], float(severities[index]), _rng(name, *key))
        degraded[index] = np.clip(np.rint(result), 0, 255)
    return degraded[0] if single else degraded


def _checked(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images)
    shape, message = images.shape, ""
    if images.ndim not in (3, 4) or shape[-1] != 3:
        needed = "(batch, height, width, 3) or (height, width, 3)"
        message = f"images have the shape {shape}; it must be {needed}"
    elif 0 in shape[-3:]:
        message = f"images have the shape {shape}; they have no pixels"
    elif images.dtype != np.uint8:
        message = f"images are {images.dtype}; they must be uint8, from 0 to 255"
    if message:
        raise InputError(message)
    return images


def _severities(severity: ArrayLike, n: int) -> np.ndarray:
    try:
        severities = np.asarray(severity, np.float64)
    except (TypeError, ValueError):
        message = f"severity is {severity!r}; it must be a number from 0 to 1"
        raise InputError(message) from None
    _check_count("severity", severities.shape, n)
    bad = severities[~((severities >= 0) & (severities <= 1))]
    if bad.size:
        message = f"severity is {bad.flat[0]:g}; it must be from 0 to 1"
        raise InputError(message)
    return np.broadcast_to(severities, n)


def _seeds(seed: ArrayLike, n: int) -> list[tuple[int, int]]:
    """Give (seed, place) of each image; its own seed leaves no role to its place."""
    # As objects, so that one number with a fraction does not change the others.
    seeds = np.asarray(seed, object)
    if seeds.ndim == 0:
        one = _whole(seeds.item())
        return [(one, index) for index in range(n)]
    _check_count("seed", seeds.shape, n)
    return [(_whole(each), 0) for each in seeds]


def _whole(seed: object) -> int:
    try:
        whole = operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        whole = -1
    if whole < 0:
        message = f"seed is {seed}; it must be a whole number of at least 0"
        raise InputError(message)
    return whole


def _check_count(what: str, shape: tuple[int, ...], n: int) -> None:
    if shape not in ((), (n,)):
        given = f"{shape[0]} of {what}" if len(shape) == 1 else f"{what} of {shape}"
        message = f"{given} for {n} images; give one number, or one per image"
        raise InputError(message)


def _rng(name: str, seed: int, place: int) -> np.random.Generator:
    # Python's own hash of a name differs from process to process; its letters do not.
    return np.random.default_rng(
        np.random.SeedSequence(seed, spawn_key=(place, *name.encode()))
    )
