"""The recipes of CONTRIBUTING.md run as they stand, each by itself."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from prefiqs_jax.backbones import Architecture
from prefiqs_jax.images.degrade import DEGRADATIONS
from prefiqs_jax.masks import mask_named

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
TEXT = PAGE.read_text(encoding="utf-8")


def recipes():
    """List (heading, first line, code) of the Python blocks, top to bottom."""
    found, heading = [], ""
    pattern = re.compile(r"^## ([^\n]+)$|^```python\n(.*?)^```$", re.M | re.S)
    for match in pattern.finditer(TEXT):
        if match[1]:
            heading = match[1]
        else:
            found.append((heading, TEXT.count("\n", 0, match.start(2)), match[2]))
    return found


RECIPES = {heading: (line, code) for heading, line, code in recipes()}


@pytest.fixture(autouse=True)
def _same_degradations():
    """Take back what a recipe adds to the degradations."""
    before = dict(DEGRADATIONS)
    yield
    DEGRADATIONS.clear()
    DEGRADATIONS.update(before)


def test_every_recipe_is_found():
    assert [heading for heading, _, _ in recipes()] == [
        "Add a mask",
        "Add a degradation",
        "Add a backbone",
        "Try a quality",
        "Add a figure",
    ]
    assert TEXT.count("```python") == 5


@pytest.mark.parametrize("heading", RECIPES)
def test_recipe(heading, tmp_path, monkeypatch):
    line, code = RECIPES[heading]
    assert "assert " in code
    monkeypatch.chdir(tmp_path)
    # Blank lines in front, so that a traceback gives the line of the page.
    program = compile("\n" * line + code, str(PAGE), "exec")
    exec(program, {"__name__": "__main__"})


def test_mask_recipe_by_name(tmp_path, monkeypatch):
    (name,) = set(re.findall(r"layerwise/my_masks\.py:\w+", TEXT))
    monkeypatch.chdir(tmp_path)
    Path("my_masks.py").write_text(RECIPES["Add a mask"][1], encoding="utf-8")
    weights = np.array([[3.0, 1.0], [4.0, 1.0]])
    mask = mask_named(name).mask_fn({"fc": weights}, 0.5)
    assert mask["fc"].tolist() == [[True, False], [True, False]]


def test_score_is_under_ten_lines():
    body = re.search(r"^def .*?\n\n\n", RECIPES["Add a mask"][1], re.M | re.S)
    assert body is not None
    assert len(body[0].strip().splitlines()) < 10


def test_page_names_what_an_architecture_needs():
    section = TEXT.partition("## Add a backbone")[2].partition("\n## ")[0]
    for field in dataclasses.fields(Architecture):
        if field.default is dataclasses.MISSING:
            assert f"`{field.name}`" in section


def test_places_exist():
    for place in re.findall(r"`((?:prefiqs_jax|tests)/[\w/.]*)`", TEXT):
        assert (PAGE.parent / place).exists(), place
