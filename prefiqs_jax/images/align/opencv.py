"""OpenCV, which only alignment needs: imported when it is used."""

from types import ModuleType

from prefiqs_jax.errors import InputError


def opencv() -> ModuleType:
    """Import OpenCV.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        message = (
            f"alignment needs OpenCV ({error}); pip install opencv-python-headless"
        )
        raise InputError(message) from None
    return cv2
