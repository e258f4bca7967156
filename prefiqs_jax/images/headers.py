"""Check every image of a folder by its header, before a long run begins."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.folder import ImageFolder
from prefiqs_jax.images.inventory import DELAY_S
from prefiqs_jax.images.opening import BadImage, NeededSize, silence_pillow
from prefiqs_jax.terminal import progress_bar

# Threads wait together for a file system that answers slowly, as those of clusters do.
# With a fast one they gain little and cost nothing (0.07 ms an image on one core): for
# most of that time, parsing holds the interpreter's lock.
_WORKERS = 8
# Images that a thread takes at once.
_PIECE = 256
_NAMED = 3


def check_headers(
    folder: ImageFolder,
    height: int,
    width: int,
    needed_by: str = "the network",
    *,
    progress: bool = False,
) -> list[tuple[str, str]]:
    """Find the images that cannot be used, without decoding any.

    Opens each file and parses its header, in threads, in about a tenth of the time of
    decoding. Damage further down in a file shows only when the image is decoded.

    Parameters
    ----------
    folder
        Images to check.
    height, width
        Size that every image must have, in pixels.
    needed_by
        Who needs this size, for the reason.
    progress
        Show a bar on standard error if it takes longer than two seconds.

    Returns
    -------
    list of (name, reason)
        Every bad image in the folder's order; the reason reads on from the name.
    """
    needed = NeededSize(height, width, needed_by)
    silence_pillow()

    def check(first: int) -> list[tuple[str, str]]:
        bad = []
        for name in folder.names[first : first + _PIECE]:
            try:
                folder.store.check(folder.root, name, needed)
            except BadImage as error:
                bad.append((name, error.reason))
        return bad

    count, found = len(folder.names), []
    bar = progress_bar(
        count, "file", what="checking images", delay=DELAY_S, progress=progress
    )
    with bar, ThreadPoolExecutor(_WORKERS, thread_name_prefix="prefiqs-check") as pool:
        for bad in pool.map(check, range(0, count, _PIECE)):
            found += bad
            bar.update(min(_PIECE, count - bar.n))
    return found


def refuse_bad(
    folder: ImageFolder,
    height: int,
    width: int,
    needed_by: str,
    *,
    progress: bool = False,
) -> None:
    """Raise InputError if `check_headers` finds an image that cannot be used."""
    if bad := check_headers(folder, height, width, needed_by, progress=progress):
        raise InputError(describe_bad(bad))


def describe_bad(bad: Sequence[tuple[str, str]]) -> str:
    """Say in one line which images are bad, why, and what to do.

    Parameters
    ----------
    bad
        Pairs (name, reason), at least one, as from `check_headers`.

    Returns
    -------
    str
        Names the first three, counts the rest, gives the first one's reason.

    Examples
    --------
    >>> describe_bad([("a.png", "is an empty file (0 bytes)")])
    'a.png is an empty file (0 bytes). Fix it, or leave it out with --on-bad-image skip'
    """
    cure = "Fix it, or leave it out with --on-bad-image skip"
    if len(bad) > 1:
        cure = "Fix or align them, or leave them out with --on-bad-image skip"
    return f"{list_bad(bad)}. {cure}"


def list_bad(bad: Sequence[tuple[str, str]], done: str = "used") -> str:
    """Name the first three images that cannot be used, and say why the first cannot."""
    first, reason = bad[0]
    if len(bad) == 1:
        return f"{first} {reason}"
    names = ", ".join(name for name, _ in bad[:_NAMED])
    if len(bad) > _NAMED:
        names += f" and {len(bad) - _NAMED} more"
    return f"{len(bad)} images cannot be {done}: {names}. {first} {reason}"
