"""Cut an aligned face out of an image."""

import numpy as np
from jaxtyping import UInt8

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.geometry.landmarks import check_landmarks
from prefiqs_jax.images.geometry.opencv import opencv
from prefiqs_jax.images.geometry.similarity import Matrix, similarity
from prefiqs_jax.images.geometry.templates import template_named


def align(
    pixels: np.ndarray,
    landmarks: np.ndarray,
    *,
    template: str = "arcface",
    size: int | None = None,
) -> UInt8[np.ndarray, "crop_height crop_width 3"]:
    """Cut out a face so that its landmarks come to lie where a template has them.

    Parameters
    ----------
    pixels
        Shape (height, width, 3), uint8, RGB.
    landmarks
        Shape (5, 2): x and y of the eyes, the nose and the corners of the mouth in
        `pixels`, in pixels, in the order of
        :data:`~prefiqs_jax.images.geometry.LANDMARKS`.
    template, size
        Name and height, see :func:`~prefiqs_jax.images.geometry.template_named`.

    Returns
    -------
    ndarray
        Shape (height, width, 3) of the template, uint8, RGB. Black where the crop
        reaches over the edge of the image.

    Raises
    ------
    InputError
        If the landmarks are not those of an upright face in this image, there is no
        such template or size, or OpenCV is not installed.

    Notes
    -----
    The transform is :func:`~prefiqs_jax.images.geometry.similarity`, the interpolation
    OpenCV's bilinear ``warpAffine``, as in insightface. OpenCV 5 interpolates at the
    exact place, OpenCV 4 at the nearest of 32 × 32 places of a pixel, which moves
    about one sample in fifteen by one grey level, seldom by two or three. An image
    much larger than its crop is sampled, not averaged.

    References
    ----------
    Deng et al. (2019). ArcFace: Additive Angular Margin Loss for Deep Face Recognition.
    CVPR.
    """
    wanted = template_named(template, size)
    pixels = _check_pixels(pixels)
    check_landmarks(landmarks, pixels.shape[:2])
    matrix = similarity(landmarks, wanted.points)
    return warp(pixels, matrix, wanted.height, wanted.width)


def warp(
    pixels: UInt8[np.ndarray, "height width 3"], matrix: Matrix, height: int, width: int
) -> UInt8[np.ndarray, "crop_height crop_width 3"]:
    """Resample an image bilinearly, black outside it.

    Parameters
    ----------
    pixels
        Shape (height, width, 3), uint8.
    matrix
        Shape (2, 3): takes places of the image to places of the crop.
    height, width
        Size of the crop in pixels.
    """
    cv2 = opencv()
    return cv2.warpAffine(
        _check_pixels(pixels),
        np.asarray(matrix, np.float64),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )


def _check_pixels(pixels: np.ndarray) -> np.ndarray:
    shape, kind = np.shape(pixels), np.asarray(pixels).dtype
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or kind != np.uint8:
        message = (
            f"the image has shape {shape} and type {kind}; give (height, width, 3), "
            "uint8, RGB"
        )
        raise InputError(message)
    return np.ascontiguousarray(pixels)
