"""References in docstrings: every one is read, whole, and once."""

import re

import pytest

from prefiqs_jax.citing.bibtex import bibtex
from prefiqs_jax.citing.index import (
    ROOT,
    cited_in,
    docstrings,
    every_reference,
    of_module,
)
from prefiqs_jax.citing.reference import Reference, merge, read_references
from prefiqs_jax.masks.allocations import ALLOCATIONS
from prefiqs_jax.masks.scores import SCORES
from prefiqs_jax.quality import METHODS

SECTIONS = [
    (path.relative_to(ROOT), text)
    for path in sorted(ROOT.rglob("*.py"))
    for text in docstrings(path)
]


def section(text):
    after = re.split(r"^References\n-+\n", text, flags=re.M)[1]
    return re.split(r"\n\w+\n---", after)[0]


def test_every_work_of_every_docstring_is_read():
    assert len(SECTIONS) > 80
    for path, text in SECTIONS:
        found = read_references(text)
        # A year in brackets is a work, and so is each number of arXiv.
        years = re.findall(r"\((?:19|20)\d\d\)", section(text))
        assert len(found) == len(years), (path, found)
        numbers = set(re.findall(r"\d{4}\.\d{4,5}", section(text)))
        assert {one.arxiv for one in found} - {""} == numbers, path


def test_each_has_what_an_entry_needs():
    for one in every_reference():
        assert one.authors, one
        assert 1890 < one.year < 2100, one
        assert 4 < len(one.title) < 140, one
        assert not re.search(r"arXiv|\d{4}\.\d{4}|Derivation|Section", one.title), one
        assert not re.search(r"arXiv|[.:;]", one.venue), one
        assert one.title[0].isupper() or one.title.startswith("k-means"), one


def test_keys_tell_works_apart():
    keys = [one.key for one in every_reference()]
    assert len(set(keys)) == len(keys)
    assert all(re.fullmatch(r"[a-z]+\d{4}[a-z0-9]+", key) for key in keys)
    numbers = [one.arxiv for one in every_reference() if one.arxiv]
    assert len(set(numbers)) == len(numbers)


ENTRY = re.compile(
    r"@(article|inproceedings|misc)\{[a-z0-9]+,\n(?:  \w+ = \{.*\},\n)+\}", re.S
)


@pytest.mark.parametrize("one", every_reference(), ids=lambda one: one.key)
def test_entries_are_bibtex(one):
    text = bibtex(one)
    assert ENTRY.fullmatch(text)
    assert text.count("{") == text.count("}")
    kind = text.partition("{")[0]
    assert ("journal = " in text) == (kind == "@article")
    assert ("booktitle = " in text) == (kind == "@inproceedings")


def test_known_conferences_are_no_journals():
    (obd,) = cited_in("LeCun et al. (1990)")
    text = bibtex(obd)
    assert text.startswith("@inproceedings{lecun1990optimal,")
    assert "volume = {2}" in text
    (umeyama,) = of_module("images.geometry.similarity")
    assert "number = {4}" in bibtex(umeyama)
    assert "Transactions on Pattern Analysis" in bibtex(umeyama)


def test_several_in_running_text():
    text = """Do it.

    References
    ----------
    One & Two (2004). A title: with more. Journal of Things 93: remarks, in 2001.
    Three, Four and Five (2007). Is it so? ICML, arXiv 0704.00001, section 2.

    Notes
    -----
    Six (2008). No reference.
    """
    first, second = read_references(text)
    assert first == Reference(
        ("One", "Two"), False, 2004, "A title: with more", "Journal of Things 93"
    )
    assert second == Reference(
        ("Three", "Four", "Five"), False, 2007, "Is it so?", "ICML", "0704.00001"
    )
    assert read_references("No section. One (2004). Title.") == []


def test_the_same_work_is_one_entry():
    short = Reference(("Kolf",), True, 2026, "PreFIQs", "", "2605.13396")
    long = Reference(("Kolf", "Ozgur"), False, 2026, "PreFIQs: More", "CVPRW")
    other = Reference(("Kolf",), True, 2024, "GraFIQs")
    found = merge([short, other, long])
    assert found == [
        Reference(
            ("Kolf", "Ozgur"), False, 2026, "PreFIQs: More", "CVPRW", "2605.13396"
        ),
        other,
    ]


def sources():
    yield from ((f"method {m.name}", m.source) for m in METHODS.values())
    yield from ((f"score {s.name}", s.source) for s in SCORES.values())
    yield from ((f"allocation {a.name}", a.source) for a in ALLOCATIONS.values())


@pytest.mark.parametrize(("what", "source"), [each for each in sources() if each[1]])
def test_sources_have_a_reference(what, source):
    """What a mask or method names as its source is in some docstring, whole."""
    years = re.findall(r"\((\d{4})\)", source)
    found = cited_in(source)
    assert sorted(str(one.year) for one in found) == sorted(years), what
