"""A reference, read from the References section of a docstring."""

import dataclasses
import inspect
import re
import unicodedata
from collections.abc import Iterable

_AUTHOR = r"[A-ZŠŽČ][\w'’-]+"
_START = re.compile(
    rf"(?P<authors>{_AUTHOR}(?:(?:, and |, | and | & ){_AUTHOR})*)(?P<others> et al\.)?"
    r" \((?P<year>\d{4})\)\. "
)
_SECTION = re.compile(r"^References\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}\n|\Z)", re.M | re.S)
_ARXIV = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})")
_NO_TITLE = re.compile(r"arXiv|Derivation:|Code:")
# Where in a work, and which edition, is no part of its title or venue.
_WHERE = re.compile(
    r",? (?:chapters?|sections?|equations?|\d+(?:nd|rd|th) ed(?:ition|\.)?).*", re.I
)


@dataclasses.dataclass(frozen=True)
class Reference:
    """One work: authors by surname, year, title, where it was published."""

    authors: tuple[str, ...]
    others: bool
    """Whether there are more authors."""
    year: int
    title: str
    venue: str = ""
    """Journal and volume, conference or publisher; empty if none is given."""
    arxiv: str = ""
    """Number of the preprint, if it is there."""

    @property
    def short_title(self) -> str:
        """The title up to a colon, without case and signs: ``prefiqs``."""
        return _plain(self.title.partition(":")[0])

    @property
    def key(self) -> str:
        """Surname, year, and a method's name or else the title's first long word.

        >>> Reference(("Štruc",), False, 2026, "The long-awaited").key
        'struc2026long'
        """
        if re.match(r"[^\s:]+:", self.title):
            return f"{_plain(self.authors[0])}{self.year}{self.short_title}"
        words = [_plain(word) for word in re.split(r"[\s:-]+", self.title)]
        long = [word for word in words if len(word) > 3] or words
        return f"{_plain(self.authors[0])}{self.year}{long[0]}"

    def is_same_work(self, other: "Reference") -> bool:
        """Whether another one is of the same work, perhaps with less said of it."""
        if self.arxiv and self.arxiv == other.arxiv:
            return True
        return (self.authors[0], self.year, self.short_title) == (
            other.authors[0],
            other.year,
            other.short_title,
        )

    def joined(self, other: "Reference") -> "Reference":
        """Take of two references of the same work what says more."""
        authors = max((self, other), key=lambda one: (len(one.authors), not one.others))
        return Reference(
            authors.authors,
            authors.others,
            self.year,
            max(self.title, other.title, key=len),
            max(self.venue, other.venue, key=len),
            self.arxiv or other.arxiv,
        )


def read_references(docstring: str) -> list[Reference]:
    """Read the References section of a docstring.

    Parameters
    ----------
    docstring
        Indented or not. In the section, a reference is ``Authors (year). Title. Venue.
        arXiv:number``; authors are surnames or end in ``et al.``, and venue or number
        may be missing. What follows a colon or names a section is a remark.

    Returns
    -------
    list of Reference
        In their order; empty without a section, or where it cites no work.

    Examples
    --------
    >>> read_references('''Do it.
    ...
    ... References
    ... ----------
    ... Han et al. (2015). Learning both. NeurIPS. arXiv:1506.02626, Section 3.
    ... ''')[0]
    Reference(authors=('Han',), others=True, year=2015, title='Learning both', \
venue='NeurIPS', arxiv='1506.02626')
    """
    found = _SECTION.search(inspect.cleandoc(docstring))
    if found is None:
        return []
    text = " ".join(found[1].split())
    starts = list(_START.finditer(text))
    ends = [*(start.start() for start in starts), len(text)][1:]
    return [
        _read(start, text[start.end() : end])
        for start, end in zip(starts, ends, strict=True)
    ]


def merge(references: Iterable[Reference]) -> list[Reference]:
    """Make one reference of all those of the same work, in the order of the first."""
    found: list[Reference] = []
    for reference in references:
        for place, known in enumerate(found):
            if known.is_same_work(reference):
                found[place] = known.joined(reference)
                break
        else:
            found.append(reference)
    return found


def _read(start: re.Match[str], rest: str) -> Reference:
    arxiv = _ARXIV.search(rest)
    title, rest = _sentence(rest)
    venue = "" if _NO_TITLE.match(rest) else re.split(r"[.:;,](?: |$)", rest)[0]
    return Reference(
        tuple(re.split(r", and |, | and | & ", start["authors"])),
        start["others"] is not None,
        int(start["year"]),
        _WHERE.sub("", title),
        _WHERE.sub("", venue),
        arxiv[1] if arxiv else "",
    )


def _sentence(text: str) -> tuple[str, str]:
    """Split off the first sentence, without its full stop."""
    found = re.match(r"(.+?)(?:\.|(?<=\?))(?: |$)", text)
    if found is None:
        return text, ""
    return found[1], text[found.end() :]


def _plain(text: str) -> str:
    """Reduce to small letters and digits of ASCII."""
    flat = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in flat.lower() if sign.isascii() and sign.isalnum())
