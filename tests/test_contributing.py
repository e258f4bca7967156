"""The recipes of CONTRIBUTING.md run as they stand, each by itself."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
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


RECIPES = {
    f"{h}, {place}": (line, code) for place, (h, line, code) in enumerate(recipes())
}
MASK, SCORE, QUALITY = "Add a mask, 0", "Add a mask, 1", "Try a quality, 5"


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
        "Add a mask",
        "Add a degradation",
        "Add a backbone",
        "Try a quality",
        "Try a quality",
        "Add a figure",
    ]
    assert TEXT.count("```python") == len(RECIPES)


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
    Path("my_masks.py").write_text(RECIPES[MASK][1], encoding="utf-8")
    weights = np.array([[3.0, 1.0], [4.0, 1.0]])
    mask = mask_named(name).mask_fn({"fc": weights}, 0.5)
    assert mask["fc"].tolist() == [[True, False], [True, False]]


@pytest.fixture
def package(tmp_path):
    """Copy the package, and give a function that runs code on the copy."""
    copied = tmp_path / "prefiqs_jax"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PAGE.parent / "prefiqs_jax", copied, ignore=ignored)

    def run(code):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    return copied, run


def test_a_built_in_score_is_one_file_and_its_test(package):
    copied, run = package
    (copied / "masks" / "scores" / "largest.py").write_text(RECIPES[SCORE][1])
    code = "from prefiqs_jax.masks import mask_names; print(*mask_names())"
    assert {"global/largest", "layerwise/largest"} <= set(run(code).split())


@pytest.mark.slow
def test_a_quality_is_one_file_and_a_word_and_its_test(package):
    copied, run = package
    (copied / "quality" / "contrast.py").write_text(RECIPES[QUALITY][1])
    methods = copied / "quality" / "methods.py"
    text = methods.read_text()
    listed = "import faceqan, grafiqs, random, serfiq, shared"
    assert text.count(listed) == 1
    text = text.replace(listed, f"import contrast, {listed.removeprefix('import ')}")
    methods.write_text(text.replace("(shared, grafiqs", "(contrast, shared, grafiqs"))
    code = "from prefiqs_jax.quality import METHODS; print(*METHODS)"
    assert "contrast" in run(code).split()


def test_score_is_under_ten_lines():
    body = re.search(r"^def .*?\n\n\n", RECIPES[MASK][1], re.M | re.S)
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
