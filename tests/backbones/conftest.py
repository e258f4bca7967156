"""Leave the PyTorch twins to the tests that import them: PyTorch may be absent."""

import pytest

collect_ignore = ["twins"]


@pytest.fixture
def one_thread():
    """Let PyTorch sum in one order; its threads would wait for each other, too."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
