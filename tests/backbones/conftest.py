"""The training of the experiments; twins stay with the tests that import PyTorch."""

import importlib
from pathlib import Path

import pytest

collect_ignore = ["twins"]
EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"


@pytest.fixture(scope="session")
def training():
    """Import ``experiments/training.py`` as its neighbours do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXPERIMENTS))
        return importlib.import_module("training")


@pytest.fixture
def one_thread():
    """Let PyTorch sum in one order; its threads would wait for each other, too."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
