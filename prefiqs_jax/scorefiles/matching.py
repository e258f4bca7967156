"""One quality for each image of a benchmark, from the rows of a score file."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from prefiqs_jax.errors import InputError
from prefiqs_jax.images.pairing import Pairing, pair_rows
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.weights.wording import listed, shown

# The longest that is said of one image: two paths and two numbers.
_WIDTH = 300
# Images without a score are all named, for somebody has to score them; to a limit.
_MOST_MISSING = 1000


class Matched(NamedTuple):
    """The quality of each image of a benchmark, from a file of scores."""

    quality: Float[np.ndarray, " images"]
    """Shape (images,), float64, finite; higher = better."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""


def match(
    scores: Scores, names: Sequence[str], *, direction: str | None = None
) -> Matched:
    """Give each image its score, found by the longest end of its path that is unique.

    A row belongs to an image if one path ends with the other, folders being compared
    whole; or, since people keep the same images in different places, if they do so
    without the folders that all rows, or all images, have in common (a note says so).
    Of several such rows, those count that agree on the most folders. Endings such as
    ``.png`` may differ or be absent; rows that agree in them go first.

    Parameters
    ----------
    scores
        As :func:`read_scores` gives them.
    names
        Names of the images, such as ``ann/01.png``.
    direction
        Which scores are the better ones: ``"lower"`` negates them. By default as the
        file declares, and ``"higher"`` where it does not.

    Returns
    -------
    Matched
        Quality in the order of the names. Rows that belong to no image are a note.

    Raises
    ------
    InputError
        If an image has no row, or several rows with different scores, or shares one
        with another image, or its score is not finite: how many, and the first few.

    Notes
    -----
    The same row twice is fine as long as its score is the same; programs that append to
    their output write such files.

    Examples
    --------
    >>> from pathlib import Path
    >>> rows = ("/data/ann/01.jpg", "/data/bob/01.jpg"), np.array([1.5, 0.5])
    >>> scores = Scores(Path("mine.txt"), "lines", *rows)
    >>> match(scores, ["bob/01.png", "ann/01.png"]).quality
    array([0.5, 1.5])
    """
    if direction not in (None, "higher", "lower"):
        message = f"direction {direction!r} is neither higher nor lower; say which"
        raise InputError(message)
    pairing = pair_rows(names, scores.names)
    problems = list(_problems(scores, names, pairing))
    if problems:
        message = f"{scores.source}: {'; '.join(problems)}"
        raise InputError(message)
    values = scores.values[[rows[0] for rows in pairing.rows]]
    # Subtracted, so that zero is not made into minus zero, which prints otherwise.
    quality = 0.0 - values if (direction or scores.direction) == "lower" else values
    notes = [*scores.notes, *_notes(scores, names, pairing)]
    if direction and scores.direction and direction != scores.direction:
        notes.append(
            f"{scores.source}: {direction} scores count as the better ones, as you "
            f"say; by its form, {scores.direction} ones are"
        )
    return Matched(quality, tuple(notes))


def _problems(scores: Scores, names: Sequence[str], pairing: Pairing) -> Iterator[str]:
    """Yield what keeps the images from having one finite score each."""
    rows_of = list(enumerate(pairing.rows))
    of_all = f"of {len(names)} images"
    if missing := [names[n] for n, rows in rows_of if not rows]:
        yield (
            f"no score for {len(missing)} {of_all} ({listed(missing, _MOST_MISSING)}; "
            f"the file's first is {shown(scores.names[0])}), score them or leave them "
            "out"
        )
    if pairing.shared:
        found = [
            f"{shown(scores.names[row])} fits {listed([names[n] for n in numbers])}"
            for row, numbers in pairing.shared
        ]
        yield (
            f"{len(found)} rows fit several images ({_first(found)}), write paths with "
            "their folders"
        )
    if several := [
        _both(scores, names[n], rows) for n, rows in rows_of if _differ(scores, rows)
    ]:
        yield (
            f"several scores for {len(several)} {of_all} ({_first(several)}), keep one "
            "row of each"
        )
    bad = set(np.flatnonzero(~np.isfinite(scores.values)).tolist())
    if odd := [
        f"{shown(names[n])}: {scores.values[rows[0]]}"
        for n, rows in rows_of
        if rows and rows[0] in bad
    ]:
        yield (
            f"no finite score for {len(odd)} {of_all} ({_first(odd)}), leave them out "
            "or score them on purpose"
        )


def _notes(scores: Scores, names: Sequence[str], pairing: Pairing) -> Iterator[str]:
    """Yield what the user should know about images that do have a score."""
    used = {row for rows in pairing.rows for row in rows}
    extra = [row for row in range(len(scores.names)) if row not in used]
    if extra:
        yield (
            f"{scores.source}: {len(extra)} of {len(scores.names)} rows belong to no "
            f"image (first: {shown(scores.names[extra[0]])})"
        )
    if pairing.elsewhere:
        n = pairing.elsewhere[0]
        yield (
            f"{scores.source}: {len(pairing.elsewhere)} of {len(names)} images are in "
            f"other folders there (first: {shown(names[n])} has the score of "
            f"{shown(scores.names[pairing.rows[n][0]])})"
        )


def _differ(scores: Scores, rows: Sequence[int]) -> bool:
    if len(rows) < 2:
        return False
    values = scores.values[list(rows)]
    return not np.array_equal(values, np.full_like(values, values[0]), equal_nan=True)


def _both(scores: Scores, name: str, rows: Sequence[int]) -> str:
    """Describe two rows of one image that have different scores."""
    first = scores.values[rows[0]]
    other = next(row for row in rows if scores.values[row] != first)
    return (
        f"{shown(name)}: {first:g} of {shown(scores.names[rows[0]])}, "
        f"{scores.values[other]:g} of {shown(scores.names[other])}"
    )


def _first(found: Sequence[str]) -> str:
    """Join what is said of the first few, and count the others."""
    text = "; ".join(shown(each, _WIDTH) for each in found[:3])
    return f"{text}; and {len(found) - 3} more" if len(found) > 3 else text
