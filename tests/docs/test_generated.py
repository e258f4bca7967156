"""What the site generates: every network, mask, method and column is there."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from prefiqs_jax.backbones.verified import KINDS, verified
from prefiqs_jax.backbones.zoo import ARCHITECTURES
from prefiqs_jax.masks import ALLOCATIONS
from prefiqs_jax.masks.scores import score_names
from prefiqs_jax.quality import METHODS
from prefiqs_jax.results import COLUMNS, EXTRAS

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def generated():
    pytest.importorskip("sphinx", reason="extra docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield importlib.import_module("generated")
    sys.modules.pop("generated", None)


def cells(lines):
    found = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line]
    assert len({len(row) for row in found}) <= 2  # masks has two tables
    return [[cell.strip() for cell in row] for row in found if set(row) != {" --- "}]


def names(rows):
    return [row[0].strip("`") for row in rows[1:]]


def test_every_network(generated):
    found = names(cells(generated.networks()))
    assert set(ARCHITECTURES) <= set(found)
    assert len(found) == len(set(found))


def test_every_network_is_verified_against_something(generated):
    _, *rows, (_, total, _) = cells(generated.verified())
    assert [words for words, _, _ in rows] == list(KINDS.values())
    listed = {
        name: kind
        for kind, (_, count, which) in zip(KINDS, rows, strict=True)
        for name in re.findall(r"`(\w+)`", which)
        if int(count) == which.count("`") / 2
    }
    assert listed == {name: verified(name) for name in ARCHITECTURES}
    assert int(total) == len(ARCHITECTURES)


def test_every_column_has_its_words(generated):
    rows = cells(generated.columns())
    assert names(rows) == [*COLUMNS, *(n for own in EXTRAS.values() for n in own)]
    assert all(said for _, said in rows)


def test_every_mask_and_method(generated):
    found = {row[0].strip("`") for row in cells(generated.masks())}
    assert {a.name for a in ALLOCATIONS.values()} | set(score_names()) <= found
    assert set(names(cells(generated.methods()))) == set(METHODS)


def test_pages_use_what_there_is(generated):
    used = {
        name
        for page in DOCS.glob("*.md")
        for name in re.findall(r"^```\{generated\} (\w+)$", page.read_text(), re.M)
    }
    assert used == set(generated.MADE)
