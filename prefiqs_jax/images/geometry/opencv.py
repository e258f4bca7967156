"""OpenCV, for alignment and plain files: imported when it is used."""

from types import ModuleType

from prefiqs_jax.errors import InputError


def opencv() -> ModuleType:
    """Import OpenCV; InputError if it is not installed."""
    try:
        import cv2
    except ImportError as error:
        message = f"images need OpenCV ({error}); pip install opencv-python-headless"
        raise InputError(message) from None
    return cv2
