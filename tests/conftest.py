"""Shared fixtures: strict dtypes, ranks and shapes, and one way to find the data."""

import gc
import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

# While tests are imported next to nothing is garbage, and looking for it is a fifth of
# the time; see pytest_collection_finish.
gc.disable()

import jax
import pytest

sys.path.insert(
    0, str(Path(__file__).parent)
)  # importlib mode leaves tests off the path
import typechecked

typechecked.install()

import drawn
from toy import toy_network

OPTIMISED = ("slow", "weights", "twins", "tools", "browser")
"""Marks of tests that are compiled as users' programs are."""
SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def pytest_configure(config: pytest.Config) -> None:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    # Neither programs nor strategies of the user: inherited by processes of the tests.
    if "PREFIQS_CACHE" not in os.environ:
        folder = tempfile.TemporaryDirectory(prefix="prefiqs-cache-")
        os.environ["PREFIQS_CACHE"] = folder.name
        config.add_cleanup(folder.cleanup)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Collect garbage again: not among what was imported, and less often."""
    del session
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave optimisations to the networks that run long enough to pay for them.

    Compiling is most of the time of the others. Programs that are called are the same;
    a process that a test starts inherits it.
    """
    optimised = any(map(item.get_closest_marker, OPTIMISED))
    jax.config.update("jax_disable_most_optimizations", not optimised)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(not optimised))


@pytest.fixture(scope="session")
def shared():
    """Give the path of something under ``../shared``; skip, by name, if absent."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"../shared/{name} is not here")
        return path

    return find


@pytest.fixture(scope="session")
def golden_weights(shared):
    """Import the module that rebuilds the golden weights and images."""
    path = shared("golden/golden_weights.py")
    spec = importlib.util.spec_from_file_location("golden_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["golden_weights"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def toy():
    """Give ``(apply_fn, params, images)`` of a toy network in float64."""
    return toy_network()


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the rendering of figures out, most of a page's time."""
    monkeypatch.setattr(drawn.RENDER, drawn.nothing)


@pytest.fixture
def sha256():
    """Give the digest of a file, computed by the standard library alone."""
    return lambda path: hashlib.sha256(Path(path).read_bytes()).hexdigest()
