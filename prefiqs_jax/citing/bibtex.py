"""References as BibTeX entries, in UTF-8."""

import re

from prefiqs_jax.citing.reference import Reference

CONFERENCES = {
    "CCBR": "Chinese Conference on Biometric Recognition",
    "CVPR": "Conference on Computer Vision and Pattern Recognition",
    "CVPRW": "Conference on Computer Vision and Pattern Recognition Workshops",
    "ERK": "International Electrotechnical and Computer Science Conference (ERK)",
    "Eurospeech": "European Conference on Speech Communication and Technology",
    "ICB": "International Conference on Biometrics",
    "ICCV": "IEEE International Conference on Computer Vision",
    "ICLR": "International Conference on Learning Representations",
    "ICLR workshop": "International Conference on Learning Representations, Workshop",
    "ICML": "International Conference on Machine Learning",
    "ICPR": "International Conference on Pattern Recognition",
    "IEEE FG": "IEEE International Conference on Automatic Face and Gesture "
    "Recognition",
    "IJCB": "IEEE International Joint Conference on Biometrics",
    "IWBF": "International Workshop on Biometrics and Forensics",
    "NeurIPS": "Advances in Neural Information Processing Systems",
    "SODA": "ACM-SIAM Symposium on Discrete Algorithms",
}
"""Full names of the conferences that docstrings cite."""
JOURNALS = {
    "IEEE TIP": "IEEE Transactions on Image Processing",
    "IEEE TPAMI": "IEEE Transactions on Pattern Analysis and Machine Intelligence",
}
"""Full names of journals that docstrings cite by initials."""
_VOLUME = re.compile(r"(?P<name>.+?) (?P<volume>\d+)(?:\((?P<number>\d+)\))?")


def bibtex(reference: Reference) -> str:
    """Write a reference as an entry: ``@inproceedings``, ``@article`` or ``@misc``.

    Examples
    --------
    >>> print(bibtex(Reference(("Lloyd",), False, 1982, "Least squares", "Radio 28")))
    @article{lloyd1982least,
      author = {Lloyd},
      title = {{Least squares}},
      year = {1982},
      journal = {Radio},
      volume = {28},
    }
    """
    kind, published = _published(reference.venue)
    fields = {
        "author": " and ".join([*reference.authors, *["others"] * reference.others]),
        "title": f"{{{reference.title}}}",  # in braces, or its capitals go
        "year": str(reference.year),
        **published,
    }
    if reference.arxiv:
        fields |= {"eprint": reference.arxiv, "archivePrefix": "arXiv"}
    lines = [f"  {name} = {{{_escape(value)}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{reference.key},", *lines, "}"])


def _published(venue: str) -> tuple[str, dict[str, str]]:
    """Give the kind of entry, and the fields of where it was published."""
    found = _VOLUME.fullmatch(venue)
    name = found["name"] if found else venue
    if name in CONFERENCES:
        volume = {"volume": found["volume"]} if found else {}
        return "inproceedings", {"booktitle": CONFERENCES[name], **volume}
    if name in JOURNALS or found:
        fields = {"journal": JOURNALS.get(name, name)}
        for part, value in (found.groupdict() if found else {}).items():
            if part != "name" and value:
                fields[part] = value
        return "article", fields
    return "misc", {"howpublished": venue} if venue else {}


def _escape(text: str) -> str:
    return re.sub(r"(?<!\\)([&%#_])", r"\\\1", text)
