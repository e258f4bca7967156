"""Notes on the limits of intervals."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

FEWEST_CLUSTERS = 8
"""From so many people on, intervals cover nearly as often as they say: 89 to 100 %
where 95 are asked for, of all kinds of data in ``experiments/coverage.py``. Below, 89 %
as well, but hardly any of ranks is left with one image each (4 % at 4 people)."""
FEWEST_FOR_INTERVAL = 3
"""With fewer people there is no interval: Student's quantile of one degree of freedom
is 12.7, and one person says nothing of others."""


def caution(
    clusters: int, resampled_by: str, *, name: str = "", of: int | None = None
) -> list[str]:
    """List what limits the intervals over this many people, or images.

    Parameters
    ----------
    clusters
        How many there are.
    resampled_by
        ``"identity"`` or ``"image"``.
    name, of
        A statistic that is known of these only, of so many; else all have it.

    Returns
    -------
    list of str
        A few phrases, or none.

    Examples
    --------
    >>> caution(40, "identity")
    []
    >>> caution(2, "identity")
    ['2 people: no interval, it takes 3']
    >>> caution(1, "identity", name="mean_cosine", of=8)
    ['mean_cosine, known of 1 of 8 people: no interval, it takes 3']
    """
    unit = "person" if resampled_by == "identity" else "image"
    units = {"person": "people", "image": "images"}[unit] if clusters != 1 else unit
    who = f"{clusters} {units}"
    found = []
    if of is not None and of != clusters:
        plural = "people" if unit == "person" else "images"
        who = f"{name}, known of {clusters} of {of} {plural}"
        if clusters >= FEWEST_CLUSTERS:
            found.append(who)
    if clusters < FEWEST_FOR_INTERVAL:
        found.append(f"{who}: no interval, it takes {FEWEST_FOR_INTERVAL}")
    elif clusters < FEWEST_CLUSTERS:
        found.append(
            f"{who}: with fewer than {FEWEST_CLUSTERS} the intervals miss "
            "the truth more often than they say"
        )
    if unit == "image" and clusters >= FEWEST_FOR_INTERVAL:
        found.append(
            "by image, identities unknown: too narrow if several images show one person"
        )
    return found


def rounding_note(
    below: int, images: int, achieved: float | None, rounding: float
) -> list[str]:
    """List how many images moved by rounding only; nothing if none did."""
    if not below:
        return []
    if below == images:
        return ["nothing was pruned" if achieved == 0 else "all changes are rounding"]
    return [
        f"{below} of {images} images left out: they moved by rounding only "
        f"(at most {rounding:g})"
    ]


def gathered(table: "pd.DataFrame") -> list[str]:
    """List the cautions of a summary table, each once, with its sparsities.

    Parameters
    ----------
    table
        Result of :func:`prefiqs_jax.statistics.summarise`.

    Returns
    -------
    list of str
        Sentences; a caution that holds at every sparsity names none.

    Examples
    --------
    >>> import pandas as pd
    >>> gathered(pd.DataFrame({"sparsity": [0.1, 0.4],
    ...     "caution": ["nothing was pruned; 5 people: few", "5 people: few"]}))
    ['Sparsity 0.1: nothing was pruned.', '5 people: few.']
    """
    places: dict[str, list[str]] = {}
    for sparsity, words in zip(table["sparsity"], table["caution"], strict=True):
        for phrase in words.split("; ") if words else ():
            held = places.setdefault(phrase, [])
            if f"{sparsity:g}" not in held:
                held.append(f"{sparsity:g}")
    every = table["sparsity"].nunique()
    return [
        f"{phrase[0].upper()}{phrase[1:]}."
        if len(held) == every
        else f"Sparsity {', '.join(held)}: {phrase}."
        for phrase, held in places.items()
    ]
