"""How many comparisons the published versions of known benchmarks have."""

import re
from collections.abc import Mapping
from typing import NamedTuple


class Published(NamedTuple):
    """Counts of one benchmark."""

    comparisons: int
    mated: int


_LFW, _CFP = Published(6_000, 3_000), Published(7_000, 3_500)
_IJBC = Published(15_658_489, 19_557)

PUBLISHED: Mapping[str, Published] = {
    "lfw": _LFW,
    "xqlfw": _LFW,
    "agedb_30": _LFW,
    "calfw": _LFW,
    "cplfw": _LFW,
    "cfp_fp": _CFP,
    "cfp_ff": _CFP,
    "ijbc": _IJBC,
}
"""By the usual name of the file or folder, in lower case.

Ten folds of 300 (CFP: 350) mated and as many non-mated comparisons; IJB-C's 1:1
verification protocol of 23,124 templates.
"""


def known_name(name: str) -> str | None:
    """Find what is published under a file's or folder's name; None if nothing is.

    >>> known_name("AgeDB-30"), known_name("IJB-C"), known_name("my_faces")
    ('agedb_30', 'ijbc', None)
    """
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    names = {each.replace("_", ""): each for each in PUBLISHED}
    names["agedb"] = "agedb_30"
    return names.get(plain)


def compare_counts(name: str, comparisons: int, mated: int) -> tuple[str, ...]:
    """Give a note that compares counts with the published ones, if there are any.

    >>> compare_counts("lfw", 6000, 3000)
    ('6,000 comparisons, 3,000 of them mated, as published',)
    """
    known = known_name(name)
    if known is None:
        return ()
    published = PUBLISHED[known]
    found = f"{comparisons:,} comparisons, {mated:,} of them mated"
    if (comparisons, mated) == published:
        return (f"{found}, as published",)
    return (
        f"{found}, but {known} is published with {published.comparisons:,} and "
        f"{published.mated:,}: results are not comparable",
    )
