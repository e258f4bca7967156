"""README: short, and its Python runs, block after block."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)
LONGEST = 900


def test_it_is_short():
    assert len(TEXT.split()) <= LONGEST


def test_it_has_the_three_jobs():
    jobs = ["Validate the first order", "Plot correlations", "Prototype a mask"]
    sections = re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)
    with_code = [title for title, section in sections if "```python" in section]
    assert with_code == jobs
    assert len(BLOCKS) == len(jobs)


def test_its_figure_is_small():
    (figure,) = re.findall(r"!\[.+?\]\((.+?)\)", TEXT)
    assert (ROOT / figure).stat().st_size < 100_000


@pytest.mark.slow
def test_its_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert names["found"].drift.shape == (16,)
    assert (names["found"].residual < names["found"].drift).all()
    assert (tmp_path / "drift.pdf").stat().st_size > 1000
    assert set(names["compared"]["mask"]) == {"mine", "magnitude"}
    assert capsys.readouterr().out.count("mine") == 2
