"""A run in a lower precision: its error is measured, said, and never mixed."""

import numpy as np
import pytest

from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.sweep import engine, planner
from prefiqs_jax.sweep.fidelity import describe_error


@pytest.mark.slow
def test_the_error_is_that_of_the_rows(finished, run_sweep, capsys):
    exact = results.read(finished)
    run = run_sweep("fast", precision="fast", progress=True)
    fast = results.read(run)
    (session,) = results.read_manifest(run)["sessions"]
    error = session["precision_error"]
    assert error["images"] == 4  # the first batch
    for column in ("first_order", "drift"):
        off = (fast[column] / exact[column] - 1).abs()[: 4 * 3]
        assert error[column]["largest"] == pytest.approx(off.max(), rel=1e-3)
        assert error[column]["median"] == pytest.approx(np.median(off), rel=1e-3)
        assert 1e-5 < error[column]["median"] < error[column]["largest"] < 0.2
    assert describe_error("fast", error) in capsys.readouterr().err
    (whole,) = results.read_manifest(finished)["sessions"]
    assert "precision_error" not in whole


def test_a_run_is_judged_by_its_own_program(run_sweep, monkeypatch):
    compiled = []

    def count(problem, *arguments):
        compiled.append(problem.precision)
        return engine.compile_step(problem, *arguments)

    monkeypatch.setattr(planner, "compile_step", count)
    run_sweep(precision="high")
    assert compiled == ["high", "highest"]


def test_a_small_error_is_only_told():
    small = {"median": 1e-6, "largest": 1e-5}
    line = describe_error("high", {"images": 8, "first_order": small, "drift": small})
    assert "8 images" in line
    assert "compare only" not in line
    large = {"median": 1e-6, "largest": 2e-3}
    line = describe_error("high", {"images": 8, "first_order": small, "drift": large})
    assert "drift within 2.0e-03 (median 1.0e-06)" in line
    assert line.endswith("compare only runs of this precision")


def test_runs_of_two_precisions_are_not_mixed(run_sweep):
    run_sweep("run", precision="high")
    with pytest.raises(InputError, match="precision high, not highest"):
        run_sweep("run")


def test_unknown_precision(run_sweep, tmp_path):
    with pytest.raises(InputError, match="precision 'half' is unknown"):
        run_sweep(precision="half")
    assert not (tmp_path / "run").exists()


def test_where_every_picture_is_skipped(run_sweep, pictures):
    for path in pictures.rglob("*.png"):
        path.write_bytes(b"no image")
    run = run_sweep(precision="fast", on_bad_image="skip")
    manifest = results.read_manifest(run)
    assert manifest["sessions"][0]["precision_error"] is None
    assert len(manifest["skipped"]) == 11
