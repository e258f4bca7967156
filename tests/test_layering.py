"""A module imports only from layers below its own; the maths stays light."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "prefiqs_jax"

# From the bottom up; a package may import those above it in this list, and itself.
LAYERS = [
    "version",
    "errors",
    "types",
    "files",
    "outputs",
    "trees",
    "execution",
    "masks",
    "sensitivity",
    "statistics",
    "fiqa",
    "images",
    "weights",
    "backbones",
    "inputcheck",
    "scorefiles",
    "benchmarks",
    "results",
    "plots",
    "sweep",
    "quality",
    "evaluation",
    "report",
    "demo",
    "cli",
]
# The maths runs on a toy: it knows nothing of networks, pictures, files or figures.
MATHS = {
    "masks": {"errors", "types", "trees"},
    "sensitivity": {"errors", "types", "trees"},
    "statistics": {"errors"},
    "fiqa": {"errors", "statistics", "execution"},
    "plots": {"statistics", "errors", "fiqa"},
    "weights": {"errors", "files"},
    "images": {"errors", "execution", "files", "outputs"},
}
ONLY_IN = {
    "flax": {"backbones"},
    "matplotlib": {"plots", "report", "demo", "evaluation"},
    "seaborn": {"plots"},
    "torch": {"weights"},
    "huggingface_hub": {"weights"},
    "onnx": {"weights", "backbones"},
    "PIL": {"images", "report"},
    "cv2": {"images"},
    "jinja2": {"report"},
}


def imports(path):
    """Yield every module that a file imports, at the top or in a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module == "prefiqs_jax":
                yield from (f"prefiqs_jax.{alias.name}" for alias in node.names)


def layer_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


FILES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports(path):
    layer = layer_of(path)
    assert layer in LAYERS, f"{layer} has no place in LAYERS"
    for module in imports(path):
        top, _, rest = module.partition(".")
        if top in ONLY_IN:
            assert layer in ONLY_IN[top], f"{path} imports {module}"
        if top == "prefiqs_jax" and rest:
            target = rest.partition(".")[0]
            if target == layer:
                continue
            assert LAYERS.index(target) < LAYERS.index(layer), f"{path}: {module}"
            if layer in MATHS:
                assert target in MATHS[layer], f"{path} imports {module}"


def test_files_are_short():
    for path in FILES:
        count = len(path.read_text().splitlines())
        assert count <= 400, f"{path} has {count} lines: one idea a file"


def test_tests_have_no_packages():
    assert not list(Path(__file__).parent.rglob("__init__.py"))
