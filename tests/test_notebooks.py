"""Notebooks are kept empty, small and readable; the build of the site runs them."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
LARGEST = 40_000
"""Bytes: more than text and code of one notebook would be an output or a picture."""


def read(name):
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def code(name):
    cells = [cell for cell in read(name)["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells]


def test_the_site_has_each_and_runs_it():
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = re.findall(r"^notebooks/(\w+)$", index, re.M)
    assert sorted(f"{name}.ipynb" for name in listed) == NOTEBOOKS
    assert "first_order_drift" in listed
    settings = (ROOT / "docs" / "conf.py").read_text("utf-8")
    assert "nb_execution_raise_on_error = True" in settings
    assert 'nb_output_stderr = "error"' in settings
    command = re.findall(r"sphinx-build .*", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert ["-W" in found for found in command] == [True]
    assert "nb_execution_mode" not in command[0]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_is_kept_empty(name):
    notebook = read(name)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_is_readable_in_diffs(name):
    text = (FOLDER / name).read_text("utf-8")
    assert len(text.encode()) <= LARGEST
    notebook = read(name)
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    names = [cell["id"] for cell in notebook["cells"]]
    assert names == [f"cell-{place:02d}" for place in range(len(names))]
    for cell in notebook["cells"]:
        lines = cell["source"]
        assert isinstance(lines, list)  # a line of text is a line of the file
        assert all(line.endswith("\n") for line in lines[:-1])


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_checks_its_claims(name):
    cells = code(name)
    checked = [cell for cell in cells if "assert " in cell or "assert_" in cell]
    assert len(checked) >= len(cells) - 2  # imports and definitions claim nothing


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_needs_no_network(name):
    assert not re.search(r"https?://|hub|hf://", "\n".join(code(name)))
