"""OpenCV, for alignment and plain files: imported when it is used."""

from types import ModuleType

from prefiqs_jax.errors import InputError


def opencv() -> ModuleType:
    """Import OpenCV; InputError if it is not installed, or not whole.

    Builds of it under several names are installed into one place, and the removal of
    one leaves the others broken.
    """
    try:
        import cv2

        cv2.imdecode  # noqa: B018  (a folder without a module imports as well)
    except (ImportError, AttributeError) as error:
        why = " ".join(str(error).split())
        message = (
            f"images need OpenCV ({why}); pip install opencv-python-headless, once its "
            "other builds are uninstalled"
        )
        raise InputError(message) from None
    return cv2
