"""The scripts that draw from runs: what they write, how they refuse."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from prefiqs_jax.report.tables import layer_matrix, layer_table

ROOT = Path(__file__).resolve().parents[2]


def _main(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="module")
def layer_sparsity():
    return _main(ROOT / "analysis" / "layer_sparsity.py")


def test_layer_sparsity(make_run, tmp_path, layer_sparsity):
    run, out = make_run(2, (0.1, 0.4)), tmp_path / "out"
    assert layer_sparsity([str(run), "--out", str(out)]) == 0
    assert {path.suffix for path in out.glob("[!.]*")} == {".csv", ".png", ".pdf"}
    table = pd.read_csv(out / "layer_sparsity.csv")
    assert list(table["layer"].unique()) == [
        "conv1/kernel",
        "layer1/0/conv1/kernel",
        "fc/kernel",
    ]


def test_layer_numbers_are_in_order():
    names = ["conv_10/kernel", "conv_2/kernel", "fc/kernel", "conv_2_dw/kernel"]
    manifest = {
        "settings": {"sparsities": [0.1, 0.5]},
        "layers": [
            {"name": name, "size": i, "achieved_sparsity": [i / 10, i / 8]}
            for i, name in enumerate(names)
        ],
    }
    found, sizes, sparsities, achieved = layer_matrix(layer_table(manifest))
    assert found == [names[i] for i in (1, 3, 0, 2)]
    assert sizes == [1, 3, 0, 2]
    assert sparsities == [0.1, 0.5]
    np.testing.assert_allclose(achieved[:, 1], np.array([1, 3, 0, 2]) / 8)


def test_a_bad_run_ends_in_one_line(tmp_path, capsys, layer_sparsity):
    assert layer_sparsity([str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is not a run" in line


@pytest.mark.slow
def test_files_of_the_user_stay(make_run, tmp_path, capsys, layer_sparsity):
    run, out, main = make_run(4, (0.1, 0.4)), tmp_path / "out", layer_sparsity
    words = [str(run), "--out", str(out)]
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    assert main(words) == 0
    assert main(words) == 0  # its own files it replaces
    for name in ("layer_sparsity.csv", "layer_sparsity.pdf"):
        ours = (out / name).read_bytes()
        (out / name).write_text("mine")
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        capsys.readouterr()
        assert main(words) == 2
        told = capsys.readouterr().err
        assert f"{name} is not from prefiqs, or was changed since" in told
        assert before == {path.name: path.read_bytes() for path in out.iterdir()}
        (out / name).write_bytes(ours)
    assert main([*words[:2], str(out / "thesis.tex"), *words[3:]]) == 2
    assert (out / "thesis.tex").read_text() == "mine"
