"""CONTRIBUTING.md runs: its recipes alone, its additions in a copy of the project."""

import dataclasses
import filecmp
import os
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from prefiqs_jax.backbones import Architecture
from prefiqs_jax.images.degrade import DEGRADATIONS
from prefiqs_jax.masks import Context, mask_named

PAGE = Path(__file__).resolve().parents[1] / "CONTRIBUTING.md"
TEXT = PAGE.read_text(encoding="utf-8")


class Block(NamedTuple):
    """A block of Python code."""

    heading: str
    line: int
    code: str

    @property
    def path(self):
        """The file that the block is, given in its first line; else none."""
        found = re.match(r"# ((?:\w+/)+\w+\.py)\n", self.code)
        return found[1] if found else None


def blocks():
    """List the blocks of the page, top to bottom."""
    found, heading = [], ""
    pattern = re.compile(r"^## ([^\n]+)$|^```python\n(.*?)^```$", re.M | re.S)
    for match in pattern.finditer(TEXT):
        if match[1]:
            heading = match[1]
        else:
            line = TEXT.count("\n", 0, match.start(2))
            found.append(Block(heading, line, match[2]))
    return found


BLOCKS = blocks()
FILES = {block.path: block.code for block in BLOCKS if block.path}
ALONE = [
    b for b in BLOCKS if not (b.path or "").startswith("tests/") and "assert " in b.code
]
MASK = BLOCKS[0].code


def table():
    """Give the files of each addition, as the page's table lists them."""
    section = TEXT.partition("| addition |")[2].partition("\n\n")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines()[2:]]
    return {words.strip(): re.findall(r"`([^`]+)`", files) for words, files in rows}


TABLE = table()


class Addition(NamedTuple):
    """What is done beside writing the blocks, and what must hold then."""

    most_files: int
    edits: Mapping[str, tuple[str, str]]
    """File to a pattern and what takes its place."""
    tests: list[str]
    """Words for pytest."""
    code: str = ""
    said: str = ""
    """Code to run, and a word of what it prints."""


LOADS_TINYNET = """
import numpy as np
from safetensors.numpy import save_file
from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.cli import main
found = architecture("tinynet")
shapes = {k: e.shape for k, e in found.entries(found.blueprint.shapes).items()}
save_file({k: np.ones(s, np.float32) for k, s in shapes.items()}, "tiny.safetensors")
assert load_backbone("tinynet", "tiny.safetensors").embedding_dim == 6
main(["backbones", "tinynet"])
"""
ADDITIONS = {
    "mask score": Addition(
        1,
        {},
        ["tests/masks/test_contract.py", "-k=largest"],
        "from prefiqs_jax.cli import main; main(['masks'])",
        "largest absolute values go first",
    ),
    "backbone": Addition(
        3,
        {
            "prefiqs_jax/backbones/official.py": (
                r"(\nOFFICIAL: .* = {\n)",
                rf"\1    {re.findall(r'`(.tinynet.: .*,)`', TEXT)[0]}\n",
            ),
        },
        [
            *("tests/backbones/test_ports.py", "tests/backbones/test_official.py"),
            "tests/backbones/test_verified.py",
            "-k=tinynet or elsewhere",
        ],
        LOADS_TINYNET,
        "github.com/me/tinynet",
    ),
    "quality": Addition(
        3,
        {
            "prefiqs_jax/quality/methods.py": (
                r"(import )(expected_drift.*?\n(?s:.*?)for module in \()",
                r"\1contrast, \2contrast, ",
            )
        },
        ["tests/quality/test_contrast.py"],
        "from prefiqs_jax.quality import METHODS; print(*METHODS)",
        "contrast",
    ),
    "benchmark format": Addition(
        2,
        {},
        [
            *(
                "tests/benchmarks/test_lst.py",
                "tests/benchmarks/test_benchmark_listed.py",
            ),
            "-k=lst or kinds_are_found",
        ],
        "from prefiqs_jax.benchmarks import KINDS; print(*KINDS)",
        "lst",
    ),
    "figure of every report": Addition(
        2,
        {},
        [
            "tests/plots/test_drift_paths.py",
            "tests/report/test_report.py",
            "-k=each_image_has or every_figure",
        ],
    ),
}


@pytest.fixture(autouse=True)
def _same_degradations():
    """Take back what a recipe adds to the degradations."""
    before = dict(DEGRADATIONS)
    yield
    DEGRADATIONS.clear()
    DEGRADATIONS.update(before)


def test_every_block_is_found():
    assert TEXT.count("```python") == len(BLOCKS)
    assert [block.heading for block in ALONE] == [
        "Add a mask",
        "Add a mask",
        "Add a degradation",
        "Add a backbone",
        "Try a quality",
    ]
    # What does not run alone is a file of an addition, and runs there.
    listed = {path for files in TABLE.values() for path in files}
    assert {b.path for b in BLOCKS if b not in ALONE} <= listed
    assert set(FILES) <= listed
    assert TABLE.keys() == ADDITIONS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("block", ALONE, ids=lambda block: str(block.line))
def test_recipe(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for other in BLOCKS[: BLOCKS.index(block)]:
        if other.heading == block.heading and other not in ALONE:
            name = str(other.path).removesuffix(".py").replace("/", ".")
            module = types.ModuleType(name)
            exec(other.code, vars(module))
            monkeypatch.setitem(sys.modules, name, module)
    # Blank lines in front, so that a traceback gives the line of the page.
    program = compile("\n" * block.line + block.code, str(PAGE), "exec")
    exec(program, {"__name__": "__main__"})


def test_mask_recipe_by_name(tmp_path, monkeypatch):
    (name,) = set(re.findall(r"\w+/my_masks\.py:\w+", TEXT))
    monkeypatch.chdir(tmp_path)
    Path("my_masks.py").write_text(MASK, encoding="utf-8")
    weights = np.array([[3.0, 1.0], [1.0, 2.0]])
    images = np.array([[1.0, 8.0]])  # the second input weighs more
    context = Context(lambda params, x: x @ params["fc"], images)
    mask = mask_named(name)({"fc": weights}, 0.5, context)
    assert mask["fc"].tolist() == [[False, False], [True, True]]


PARTS = ("prefiqs_jax", "tests", "pyproject.toml")


def add(name, folder):
    """Copy the project, make an addition there, and give the files that it touched."""
    for part in PARTS:
        if (PAGE.parent / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PAGE.parent / part, folder / part, ignore=ignored)
        else:
            shutil.copy(PAGE.parent / part, folder)
    touched = set()
    for path in TABLE[name]:
        if path in FILES:
            assert not (folder / path).exists()
            (folder / path).write_text(FILES[path], encoding="utf-8")
    for path, (pattern, words) in ADDITIONS[name].edits.items():
        text, count = re.subn(pattern, words, (folder / path).read_text("utf-8"))
        assert count == 1, f"{path}: {pattern}"
        (folder / path).write_text(text, encoding="utf-8")
    for path in folder.rglob("*"):
        inside = path.relative_to(folder)
        original = PAGE.parent / inside
        if path.is_file() and not (
            original.exists() and filecmp.cmp(path, original, shallow=False)
        ):
            touched.add(str(inside))
    return touched


@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_touches_the_files_that_the_page_lists(name, tmp_path):
    assert add(name, tmp_path) == set(TABLE[name])
    assert len(TABLE[name]) <= ADDITIONS[name].most_files


@pytest.mark.slow
@pytest.mark.parametrize("name", ADDITIONS)
def test_an_addition_works_and_passes_its_tests(name, tmp_path):
    if name == "backbone":
        pytest.importorskip("torch")
    add(name, tmp_path)
    addition = ADDITIONS[name]

    words = ["-q", "-n0", "-m", "", *addition.tests]
    code = f"import pytest\nassert pytest.main({words}) == 0\n{addition.code}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed, rest = re.split(r"\d+ passed", done.stdout)
    assert not re.search(r"skipped|warning", passed + rest.splitlines()[0])
    assert addition.said in rest


def test_scores_are_at_most_ten_lines():
    bodies = re.findall(r"^def (\w+)(.*?)\n\n\n", MASK, re.M | re.S)
    assert [name for name, _ in bodies] == ["wanda", "snip", "two_of_four"]
    for name, body in bodies:
        lines = len(body.strip().splitlines())
        assert lines <= 10
        # What the table says is without the lines of "def" and of the docstring.
        said = {"wanda": "Wanda", "snip": "SNIP", "two_of_four": "2:4"}[name]
        assert re.search(rf"^\| {said} \|.*\| {lines - 2}, ", TEXT, re.M)


def test_page_gives_what_an_architecture_needs():
    code = FILES["prefiqs_jax/backbones/networks/tinynet.py"]
    for field in dataclasses.fields(Architecture):
        if field.default is dataclasses.MISSING:
            assert f"        {field.name}=" in code


def test_places_exist():
    for place in re.findall(r"`((?:prefiqs_jax|tests)/[\w/.]*)`", TEXT):
        assert place in FILES or (PAGE.parent / place).exists(), place
