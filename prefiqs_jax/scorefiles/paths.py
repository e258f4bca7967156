"""Paths of pictures, as different people write them: compared from the end."""

from collections.abc import Iterator, Sequence

ENDINGS = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"),
        *(".ppm", ".pgm", ".jp2", ".gif", ".npy"),
    )
)
"""Endings of picture files, and of the arrays into which some people turn them."""


def normal(name: str) -> str:
    r"""Write a path with single forward slashes and no ``.`` folders.

    Examples
    --------
    >>> normal(r"C:\faces\ann\01.png"), normal("./ann//01.png")
    ('C:/faces/ann/01.png', 'ann/01.png')
    """
    path = name.replace("\\", "/").strip("/")
    if "//" in path or "./" in path or path.endswith("/."):
        return "/".join(part for part in path.split("/") if part not in ("", "."))
    return path


def depth(path: str) -> int:
    """Count the parts of a normal path."""
    return path.count("/") + 1


def suffix(path: str, parts: int) -> str:
    """Give the last parts of a normal path, which must have so many.

    Examples
    --------
    >>> suffix("lfw/ann/01.png", 2)
    'ann/01.png'
    """
    return "/".join(path.rsplit("/", parts)[-parts:])


def without_ending(path: str) -> str:
    """Take the ending of a picture off, as often as it is there.

    Examples
    --------
    >>> without_ending("ann/01.PNG"), without_ending("ann/John_F._Kennedy")
    ('ann/01', 'ann/John_F._Kennedy')
    >>> without_ending("01.jpg.jpg"), without_ending("ann/.png")
    ('01', 'ann/.png')
    """
    while True:
        stem, dot, ending = path.rpartition(".")
        if not dot or not stem or stem.endswith("/"):
            return path
        if dot + ending.lower() not in ENDINGS:
            return path
        path = stem


def common_folders(paths: Sequence[str]) -> int:
    """Count the leading folders that all of some normal paths share.

    Returns
    -------
    int
        0 if there are fewer than two different paths.

    Examples
    --------
    >>> common_folders(["lfw/ann/01.png", "lfw/bob/01.png"])
    1
    """
    if not paths:
        return 0
    # What the first and the last in order share, all between them share.
    first, last = min(paths), max(paths)
    if first == last:
        return 0
    return sum(1 for _ in _shared(first.split("/")[:-1], last.split("/")[:-1]))


def _shared(one: Sequence[str], other: Sequence[str]) -> Iterator[str]:
    for a, b in zip(one, other, strict=False):
        if a != b:
            return
        yield a
