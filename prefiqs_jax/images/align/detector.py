"""Find faces and their landmarks by OpenCV's YuNet, from a file that the user gives."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.geometry.opencv import opencv

LARGEST_SIDE_PX = 640
"""Images are shrunk to it before detection; twice as far if no face is found."""

_FILES = (
    "face_detection_yunet_2023mar.onnx (OpenCV 4) or face_detection_yunet_2026may.onnx "
    "(OpenCV 5) of the OpenCV model zoo"
)
_SCORE, _OVERLAP, _CANDIDATES = 0.6, 0.3, 5000
_FIELDS = 15
_TRIES = 3
_TRIAL_PX = 64
# Of landmarks in pixels: those that a table holds, to make the crop again from.
_DECIMALS = 3


class Detection(NamedTuple):
    """One face in an image; places and sizes in pixels."""

    box: tuple[float, float, float, float]
    """x and y of the upper left corner, width, height."""
    landmarks: Float[np.ndarray, "5 2"]
    """In the order of :data:`~prefiqs_jax.images.align.LANDMARKS`."""
    score: float
    """Confidence of the detector, in [0, 1]."""


Detect = Callable[[UInt8[np.ndarray, "height width 3"]], list[Detection]]
"""Find the faces in an image, (height, width, 3), uint8, RGB."""


def open_detector(
    path: str | os.PathLike[str], *, score_threshold: float = _SCORE
) -> Detect:
    """Load YuNet.

    Parameters
    ----------
    path
        ONNX file of the detector, from the OpenCV model zoo:
        ``face_detection_yunet_2023mar.onnx`` for OpenCV 4, and for OpenCV 5 the same
        network for images of any size, ``face_detection_yunet_2026may.onnx``.
    score_threshold
        Faces of a lower score are left out.

    Returns
    -------
    callable
        Gives the faces of an image, the one of highest score first. It keeps the size
        of the last image, so every thread needs its own.

    Raises
    ------
    InputError
        If the file is missing or no YuNet, or OpenCV is not installed.

    Notes
    -----
    YuNet is trained for faces of 10 to 300 pixels. Images are shrunk to
    :data:`LARGEST_SIDE_PX`; one without a face is shrunk again, by 2 and by 4.

    References
    ----------
    Wu, Peng & Yu (2023). YuNet: A Tiny Millisecond-level Face Detector. Machine
    Intelligence Research 20.
    """
    cv2 = opencv()
    path = Path(path)
    if not path.is_file():
        message = f"there is no detector {path}; give {_FILES}"
        raise InputError(message)
    size = (_TRIAL_PX, _TRIAL_PX)
    logging = cv2.utils.logging
    told = logging.getLogLevel()
    # OpenCV 5 warns of every detector that it chooses the target by itself.
    logging.setLogLevel(logging.LOG_LEVEL_ERROR)
    try:
        network = cv2.FaceDetectorYN.create(
            str(path), "", size, score_threshold, _OVERLAP, _CANDIDATES
        )
        # A network with other outputs loads, and fails at the first image.
        find_faces(network, np.zeros((*size, 3), np.uint8))
    except cv2.error as error:
        message = (
            f"{path} is not a YuNet detector that OpenCV {cv2.__version__} can run "
            f"({' '.join(error.err.split())}); give {_FILES}"
        )
        raise InputError(message) from None
    finally:
        logging.setLogLevel(told)
    return lambda pixels: find_faces(network, pixels)


def find_faces(
    network: Any, pixels: UInt8[np.ndarray, "height width 3"]
) -> list[Detection]:
    """Run a detector with the interface of ``cv2.FaceDetectorYN`` on an image.

    Parameters
    ----------
    network
        Has ``setInputSize((width, height))`` and ``detect(bgr) -> (code, rows)``.
    pixels
        Shape (height, width, 3), uint8, RGB.

    Returns
    -------
    list of Detection
        In pixels of the image as given; empty if there is no face at any scale.
    """
    cv2 = opencv()
    height, width = pixels.shape[:2]
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    scale = min(1.0, LARGEST_SIDE_PX / max(height, width))
    for shrink in range(_TRIES):
        small = tuple(max(1, round(n * scale / 2**shrink)) for n in (width, height))
        scaled = bgr
        if small != (width, height):
            scaled = cv2.resize(bgr, small, interpolation=cv2.INTER_AREA)
        network.setInputSize(small)
        if found := read_rows(network.detect(scaled)[1]):
            grown = width / small[0], height / small[1]
            return [_enlarge(face, grown) for face in found]
    return []


def read_rows(rows: np.ndarray | None) -> list[Detection]:
    """Read the detector's table.

    Parameters
    ----------
    rows
        Shape (faces, 15): x, y, width and height of the box; x and y of right eye, left
        eye, nose, right and left corner of the mouth, as the person would call them,
        so left to right in the image; score. None if there is no face.

    Returns
    -------
    list of Detection
        Highest score first; rows that are not finite are left out.
    """
    if rows is None:
        return []
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2 or rows.shape[1] != _FIELDS:
        message = (
            f"the detector gives rows of shape {rows.shape}, not (faces, {_FIELDS}); "
            f"give {_FILES}"
        )
        raise InputError(message)
    rows = rows[np.isfinite(rows).all(axis=1)]
    rows = rows[np.argsort(-rows[:, 14], kind="stable")]
    return [
        Detection((x, y, w, h), np.reshape(points, (5, 2)), score)
        for x, y, w, h, *points, score in rows.tolist()
    ]


def choose(found: Sequence[Detection], height: int, width: int) -> Detection | None:
    """Choose the face that an image is of: large and near the middle.

    The largest product of the box's area, as far as it lies in the image, and its
    centredness: 1 with its centre in the middle of the image, falling in a straight
    line to 0 at a corner. Between equal ones, the first.

    Parameters
    ----------
    found
        Faces of the image.
    height, width
        Size of the image, in pixels.

    Returns
    -------
    Detection or None
        None if there is none.
    """
    return max(found, key=lambda each: _weight(each, height, width), default=None)


def _weight(face: Detection, height: int, width: int) -> float:
    x, y, w, h = face.box
    inside_x = max(0.0, min(x + w, width) - max(x, 0.0))
    inside_y = max(0.0, min(y + h, height) - max(y, 0.0))
    away = math.hypot(x + w / 2 - width / 2, y + h / 2 - height / 2)
    return inside_x * inside_y * max(0.0, 1 - away / (math.hypot(width, height) / 2))


def _enlarge(face: Detection, grown: tuple[float, float]) -> Detection:
    x, y, w, h = (
        side * factor for side, factor in zip(face.box, grown * 2, strict=True)
    )
    # Shrinking keeps the corners; landmarks count from the middle of the first pixel.
    points = np.round((face.landmarks + 0.5) * grown - 0.5, _DECIMALS)
    return Detection((x, y, w, h), points, face.score)
