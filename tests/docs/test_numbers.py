"""Numbers on the pages are those of tables: no number of a measurement is in prose.

What is measured stands in blocks that a script writes, between ``<!-- … -->`` and
``<!-- end -->``, and in the sections of the findings; both are held against their
tables. What is left on a page may have numbers of these kinds only.
"""

import importlib
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = re.compile(
    r"<!-- [\w ]+: (from|held by) ([\w./]+) -->(.*?)<!-- end -->", re.S
)
FINDINGS = "docs/findings.md"
PAGES = ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

NOT_PROSE = [
    r"(?s)^```.*?^```$",  # code: commands, settings, arguments
    r"^    .*$",  # formulas
    r"^\| .*`tests/[\w/]+\.py::test_\w+`.*\|$",  # statements, each beside its test
    r"`[^`]+`",
    r"\]\([^)]*\)",  # where a link goes
    r"^\d+\. ",  # places in a list
    r"^#.*$",
]
KINDS = {
    "part of a name": r"(?<![\w.])[^\W\d][\w^]*-?\d[\w.:-]*",
    "year": r"\b(?:19|20)\d\d\b",
    "size": r"\b\d+×\d+\b|[\d.]+(?: or [\d.]+)? inches",
    "version": r"\b(?:Python|Open MPI) \d+(?:\.\d+)*",
    "licence": r"Apache-2\.0",
    "level of the intervals": r"\b95 %",
    "setting": r"\bsparsity (?:of )?0\.\d\b|\bFMR 1e-\d(?: and 1e-\d)?|"
    r"\bup to 30 % of comparisons|\bstatus \d+",
    "limit of the program": r"\b(?:below|beyond|fewer than) \d+ |"
    r"\bwithin rounding \(32",
    "tolerance": r"\b(?:to|float\d\d,)\s+1e-\d+",
    "pixels": r"\b0 to 255\b|127\.5",
    "formula": r"\b\d/\d\b|\b[A-Z]/\d\b|\b\d[kf]\b|²/\d|⌈3k/2⌉|< ?\d|\+ \d\b|"
    r"\bdegree 15",
    "small count": r"(?<![\d.,/])\b(?:10|\d)\b"
    r"(?! ?(?:[%×]|(?:points|ms|s|minutes|GB)\b))(?![.,]\d)",
}


def prose(text):
    """Leave out what a script writes, and what is no prose."""
    text = GENERATED.sub("", text)
    for pattern in NOT_PROSE:
        text = re.sub(pattern, "", text, flags=re.M)
    return text


def unexplained(text):
    """List what holds a number of no kind."""
    left = prose(text)
    for pattern in KINDS.values():
        left = re.sub(pattern, "", left)
    return [line.strip() for line in left.splitlines() if re.search(r"\d", line)]


def without_findings(text):
    """Take the sections of the findings off; each must be what its script writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "analysis"))
        section = importlib.import_module("findings_page").section
        findings = importlib.import_module("from_runs").findings
        for name in importlib.import_module("all_questions").QUESTIONS:
            analysis = importlib.import_module(name).ANALYSIS
            table = pd.read_csv(ROOT / "docs" / "findings" / f"{name}.csv")
            own = section(analysis.title, name, findings(analysis, table), "findings")
            assert own in text, name
            text = text.replace(own, "")
    return text


@pytest.mark.parametrize("page", [page for page in PAGES if page != FINDINGS])
def test_no_measured_number_in_prose(page):
    assert unexplained((ROOT / page).read_text("utf-8")) == []


@pytest.mark.slow
def test_every_number_of_the_findings_is_what_its_script_writes():
    text = (ROOT / FINDINGS).read_text("utf-8")
    assert unexplained(without_findings(text)) == []


@pytest.mark.parametrize(
    "planted",
    [
        "It misses 23.7 % of the change.",
        "The rank agrees to 0.93.",
        "A batch took 12 seconds.",
        "1,234 images were used.",
        "It is 3.1 times as fast.",
        "They cost 5 % more.",
        "An area of 24.3 [15.0, 39.6].",
        "| sface | 0.123 |",
        "It is wrong by 4e-7.",
        "It holds up to 0.54.",
    ],
)
def test_a_planted_number_is_found(planted):
    text = (ROOT / "README.md").read_text("utf-8")
    place = text.index("\n\n## ") + 2
    assert unexplained(f"{text[:place]}{planted}\n\n{text[place:]}") != []


@pytest.fixture(scope="module")
def blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        yield importlib.import_module("blocks")
    sys.modules.pop("blocks", None)


def test_blocks_are_what_the_tables_say(blocks):
    found = set()
    for page in blocks.PAGES:
        text = (ROOT / page).read_text("utf-8")
        assert blocks.updated(text) == text, f"{page}: python docs/blocks.py"
        found |= {name for _, name, _, _ in blocks.MARKED.findall(text)}
    assert found == set(blocks.MADE)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_its_script_or_test(blocks, page):
    timings = ["docs/timings.md", "docs/theory.md"]  # see tests/cli/test_bench.py
    for kind, source, inside in GENERATED.findall((ROOT / page).read_text("utf-8")):
        assert inside.strip()
        if kind == "from":
            assert page in (blocks.PAGES if "/" in source else timings)
        else:
            assert page in (ROOT / source).read_text("utf-8")


def test_another_table_is_another_block(blocks, tmp_path):
    table = pd.read_csv(ROOT / "docs/results/agreement.csv")
    table.loc[table["statistic"] == "median_relative_residual", "value"] /= 2
    table.to_csv(tmp_path / "agreement.csv", index=False)
    own, other = (
        blocks.agreement_said(folder / "agreement.csv")
        for folder in (ROOT / "docs/results", tmp_path)
    )
    assert own != other
