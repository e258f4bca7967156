"""A module imports only from layers below its own; the maths stays light."""

import ast
import graphlib
import importlib
import sys
from pathlib import Path

import pytest

from prefiqs_jax import moved

ROOT = Path(__file__).parents[1] / "prefiqs_jax"

# From the bottom up; a package may import those above it in this list, and itself.
LAYERS = [
    "version",
    "moved",
    "errors",
    "plugins",
    "types",
    "terminal",
    "files",
    "unpickle",
    "outputs",
    "trees",
    "execution",
    "user_code",
    "sensitivity",
    "masks",
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
    "report",
    "comparison",
    "evaluation",
    "demo",
    "citing",
    "cli",
    "__main__",
]
# The maths runs on a toy: it knows nothing of networks, images, files or figures.
MATHS = {
    "masks": {
        "errors",
        "plugins",
        "types",
        "trees",
        "user_code",
        "execution",
        "sensitivity",
    },
    "sensitivity": {"errors", "types", "trees", "execution"},
    "statistics": {"errors"},
    "fiqa": {"errors", "statistics", "execution"},
    "plots": {"statistics", "errors", "fiqa"},
    "weights": {"errors", "files", "terminal", "unpickle"},
    "images": {"errors", "execution", "files", "outputs", "terminal"},
}
ONLY_IN = {
    "flax": {"backbones"},
    "matplotlib": {"plots", "report", "comparison", "demo", "evaluation"},
    "torch": {"weights"},
    "huggingface_hub": {"weights"},
    "onnx": {"weights", "backbones"},
    "PIL": {"images", "report"},
    "cv2": {"images"},
    "jinja2": {"report"},
    "matfree": {"sensitivity"},
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


def faces():
    """Give the names that each package offers by its ``__init__``."""
    found = {}
    for path in ROOT.glob("*/__init__.py"):
        tree = ast.parse(path.read_text())
        found[f"prefiqs_jax.{path.parent.name}"] = {
            alias.asname or alias.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
    return found


FACES = faces()
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


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_through_the_face(path):
    """What another package's ``__init__`` offers is not imported from behind it."""
    own = f"prefiqs_jax.{layer_of(path)}"
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        package = ".".join(node.module.split(".")[:2])
        if package in (own, node.module) or package not in FACES:
            continue
        behind = [alias.name for alias in node.names if alias.name in FACES[package]]
        assert not behind, f"{path}: import {behind} from {package}"


def module_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_circles():
    """Imports within functions count, too: they only hide a circle."""
    top = ROOT / "__init__.py"  # imports on demand only
    modules = {module_of(path): path for path in ROOT.rglob("*.py") if path != top}
    needs = {
        name: {module for module in needed(path, modules) if module in modules}
        for name, path in modules.items()
    }
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def needed(path, modules):
    """Yield the modules whose names a file imports; of a package, its ``__init__``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else node.module for name in inside)


def test_old_import_paths_warn():
    for old, new in moved.MOVED.items():
        # The import would put a module in the place of a public name.
        package, _, name = old.rpartition(".")
        assert not hasattr(importlib.import_module(package), name)
        with pytest.warns(DeprecationWarning, match=f"{old} is {new} now"):
            module = importlib.import_module(old)
        sys.modules.pop(old)
        delattr(sys.modules[package], name)
        assert vars(module).keys() >= {
            name for name in vars(importlib.import_module(new)) if name[0] != "_"
        }


def test_scripts_have_names_of_their_own():
    # They import their neighbours by name, and so do their tests.
    root = Path(__file__).parents[1]
    folders = ("analysis", "docs", "experiments", "experiments/timings")
    names = [path.name for each in folders for path in (root / each).glob("*.py")]
    assert len(set(names)) == len(names)


def test_files_are_short():
    for path in FILES:
        count = len(path.read_text().splitlines())
        assert count <= 400, f"{path} has {count} lines: one idea a file"


def test_tests_have_no_packages():
    assert not list(Path(__file__).parent.rglob("__init__.py"))
