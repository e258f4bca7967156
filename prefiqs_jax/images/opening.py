"""Open an image as far as its header, without warnings and with one kind of error."""

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image, ImageFile, UnidentifiedImageError

from prefiqs_jax.errors import InputError, printable

# Only these parsers run on the user's files, whatever the files are called.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM")

MOST_BYTES = 2**30

ByteFile = io.BytesIO | io.BufferedReader | io.FileIO

_ORIENTATION_TAG = 0x0112
_SIDEWAYS = (5, 6, 7, 8)


class BadImage(InputError):
    """An image that cannot be used; the message is ``name reason``, one line.

    Attributes
    ----------
    name
        The image, as the caller named it.
    reason
        What is wrong with it, to be read after the name.
    """

    def __init__(self, name: str, reason: str) -> None:
        # Both go to the base class, so that the error survives pickling.
        super().__init__(name, reason)
        self.name = name
        self.reason = " ".join(reason.split())

    def __str__(self) -> str:
        """Return the one-line message."""
        return printable(f"{self.name} {self.reason}")


# Width and height of the two templates of five points.
ARCFACE_SIZE, NARROW_SIZE = (112, 112), (96, 112)


class NeededSize(NamedTuple):
    """The size that images must have, in pixels, and who needs it."""

    height: int
    width: int
    needed_by: str


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings; a decompression bomb becomes an error.

    Not in a worker thread, since filters are the process's; see `silence_pillow`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def silence_pillow() -> None:
    """Silence what Pillow says of odd metadata, in every thread, from here on.

    For worker threads: restoring the filters of the process, `quiet_pillow` would undo
    another thread's. Warnings of a decompression bomb, and other modules', stay.
    """
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@contextlib.contextmanager
def pillow_errors(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises on a bad file into :class:`BadImage`."""
    try:
        yield
    except (BadImage, MemoryError):
        raise
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise BadImage(name, f"is not an image that can be read ({known})") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(name, f"is too large to be a face image: {error}") from None
    # Pillow's decoders raise a dozen types on damaged files, some of them undocumented.
    except Exception as error:
        what = str(error) or type(error).__name__
        raise BadImage(name, f"is damaged: {what}") from None


@contextlib.contextmanager
def regular_file(
    path: str | os.PathLike[str], name: str, *, buffered: bool = True
) -> Iterator[ByteFile]:
    """Open a file for reading, if it is one and not empty.

    Without a buffer it is read at once, in a third less time than with one.
    """
    try:
        status = os.stat(path)
        # A named pipe would block for ever.
        if not stat.S_ISREG(status.st_mode):
            raise BadImage(name, "is not a file")
        if status.st_size == 0:
            raise BadImage(name, "is an empty file (0 bytes)")
        if status.st_size > MOST_BYTES:
            size = f"{status.st_size / 2**30:,.0f} GiB"
            raise BadImage(name, f"has {size}, far more than a face image needs")
        with open(path, "rb", buffering=-1 if buffered else 0) as file:
            yield file  # type: ignore[reportReturnType]  (raw files read as well)
    except OSError as error:
        raise BadImage(name, f"cannot be read: {error.strerror}") from None


def open_header(file: ByteFile, name: str) -> ImageFile.ImageFile:
    """Parse an image's header; pixels stay undecoded.

    Run it inside `quiet_pillow`, or in a thread after `silence_pillow`.
    """
    with pillow_errors(name):
        image = Image.open(file, formats=FORMATS)
        _refuse_bomb(image)
        _refuse_undefined_white(image, name)
    return image


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) to 8, from what is parsed so far."""
    # The subclass for PNG would decode all pixels to look for EXIF data behind them.
    value = Image.Image.getexif(image).get(_ORIENTATION_TAG, 1)
    return value if value in range(1, 9) else 1


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) as they will be once the orientation is applied."""
    width, height = image.size
    # For TIFF, Pillow has turned the size already.
    turns = width != height and image.format != "TIFF"
    if turns and orientation(image) in _SIDEWAYS:
        return height, width
    return width, height


def check_size(name: str, size: tuple[int, int], needed: NeededSize) -> int:
    """Raise :class:`BadImage` unless size, (width, height), is what is needed.

    Gives how many columns to cut from the left and from the right, nearly always 0: a
    face aligned to the ArcFace template (112×112) holds in its middle the one aligned
    to the 96 wide template, whose points lie 8 pixels further to the left.
    """
    if size == (needed.width, needed.height):
        return 0
    if size == ARCFACE_SIZE and needed[:2] == (NARROW_SIZE[1], NARROW_SIZE[0]):
        return (ARCFACE_SIZE[0] - NARROW_SIZE[0]) // 2
    reason = (
        f"is {size[0]}×{size[1]} pixels, but {needed.needed_by} needs "
        f"{needed.width}×{needed.height} (width×height); align it first"
    )
    raise BadImage(name, reason)


def check_header(file: ByteFile, name: str, needed: NeededSize | None) -> None:
    """Parse a header; BadImage if it is none, or of another size than needed."""
    size = upright_size(open_header(file, name))
    if needed:
        check_size(name, size, needed)


def _refuse_bomb(image: ImageFile.ImageFile) -> None:
    # Up to twice this limit Pillow only warns, which the user's filters may silence.
    limit, count = Image.MAX_IMAGE_PIXELS, image.width * image.height
    if limit is not None and count > limit:
        message = f"Image size ({count} pixels) exceeds limit of {limit} pixels"
        raise Image.DecompressionBombError(message)


def _refuse_undefined_white(image: ImageFile.ImageFile, name: str) -> None:
    cure = "save it with 8 bits a channel"
    kind = {"F": "floating-point", "I": "signed or 32-bit"}.get(image.mode)
    if kind and (image.mode == "F" or image.format == "TIFF"):
        reason = f"holds {kind} samples, whose white level is undefined; {cure}"
        raise BadImage(name, reason)
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    bits = max(tags.get(258, (1,)))
    # Pillow cuts the low byte of several channels off, reads 12 bits as if they were 16
    # and 16 bits with white as zero as if black were.
    plain = bits == 16 and image.mode.startswith("I;16") and tags.get(262) == 1
    if bits > 8 and not plain:
        raise BadImage(name, f"is a {bits}-bit TIFF of a kind not supported; {cure}")
