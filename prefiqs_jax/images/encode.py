"""Encode images."""

import io

import numpy as np
from PIL import Image


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode an image as PNG, without loss.

    Parameters
    ----------
    pixels
        Shape (height, width, 3), uint8, RGB.

    Returns
    -------
    bytes
        Content of the file; the same image gives the same bytes.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()
