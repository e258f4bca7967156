"""Every notebook runs from top to bottom, without warnings, and is kept empty."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
LIMIT_S = 300


def execute(source: Path, target: Path) -> None:
    """Run a notebook in the folder of the target with this very interpreter."""
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    # Without folders to look in, "python3" is the ipykernel of this interpreter,
    # whatever kernels are registered on the machine.
    specs = KernelSpecManager(kernel_dirs=[])
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
    notebook = nbformat.read(source, as_version=4)
    place = {"metadata": {"path": str(target.parent)}}
    client = NotebookClient(notebook, km=kernel, timeout=LIMIT_S, resources=place)
    client.execute(cleanup_kc=True)
    nbformat.write(notebook, target)


def cells(path: Path, kind: str) -> list[dict]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_there_are_notebooks():
    assert "first_order_drift.ipynb" in NOTEBOOKS


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs(name, tmp_path, monkeypatch):
    for variable in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable.lower()))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    # In a process of its own, with its own event loop, signal handlers and warnings.
    run = subprocess.run(
        [sys.executable, __file__, FOLDER / name, tmp_path / name],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    code = cells(tmp_path / name, "code")
    assert all(cell["execution_count"] for cell in code)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [o["text"] for o in outputs if o.get("name") == "stderr"] == []
    assert any("image/png" in o.get("data", {}) for o in outputs)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_is_kept_empty(name):
    notebook = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in cells(FOLDER / name, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_checks_its_claims(name):
    code = cells(FOLDER / name, "code")
    checked = [
        cell
        for cell in code
        if any(word in "".join(cell["source"]) for word in ("assert ", "assert_"))
    ]
    assert len(checked) >= len(code) - 2  # imports and definitions claim nothing


if __name__ == "__main__":
    execute(Path(sys.argv[1]), Path(sys.argv[2]))
