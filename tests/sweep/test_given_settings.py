"""Masks by their names, batches beyond the folder, and several runs at once."""

import dataclasses
import io
import sys

import jax
import numpy as np
import pandas as pd
import pyarrow.dataset
import pytest
from toy import toy_backbone

from prefiqs_jax import masks, results
from prefiqs_jax.comparison import compare
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import check_headers, headers, read_folder
from prefiqs_jax.quality import make_scorers, score
from prefiqs_jax.sweep import SweepOptions, sweep

QUIET = SweepOptions(progress=False, batch_size=4)


@pytest.mark.slow
def test_a_mask_by_its_name(backbone, pictures, tmp_path):
    name, mask = "layerwise/magnitude", masks.mask_named("layerwise/magnitude")
    for out, given in (("name", name), ("mask", mask)):
        sweep(backbone, pictures, given, [0.3], tmp_path / out, options=QUIET)
        score(backbone, pictures, given, tmp_path / f"{out}.csv", progress=False)
    one, other = (results.read(tmp_path / out) for out in ("name", "mask"))
    pd.testing.assert_frame_equal(one, other)
    texts = {(tmp_path / f"{out}.csv").read_text() for out in ("name", "mask")}
    assert len(texts) == 1
    two = [name, "global/magnitude"]
    compare(backbone, read_folder(pictures), two, [0.3], tmp_path / "c", options=QUIET)
    assert set(results.read(tmp_path / "c")["mask"]) == set(two)
    with pytest.raises(InputError, match="unknown mask 'global/magic'"):
        sweep(backbone, pictures, "global/magic", [0.3], tmp_path / "bad")


def test_several_runs(finished, run_sweep):
    one, other = finished, run_sweep("other", sparsities=[0.2])
    both = results.read([one, str(other)])
    assert list(both.columns) == ["run", *results.COLUMNS]
    for run, rows in both.groupby("run"):
        pd.testing.assert_frame_equal(
            rows.drop(columns="run").reset_index(drop=True), results.read(str(run))
        )
    with pytest.raises(InputError, match="no run to read"):
        results.read([])


def test_other_programs_open_the_rows_by_their_folder(run):
    rows = results.read(run)
    order, columns = ["image", "sparsity"], list(results.COLUMNS)
    expected = rows.sort_values(order, ignore_index=True)
    for found in (
        pd.read_parquet(run / "rows"),
        pyarrow.dataset.dataset(run / "rows").to_table().to_pandas(),
    ):
        found = pd.DataFrame(found, columns=columns).sort_values(order)
        pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)


def test_a_run_whose_parts_are_beside_its_manifest(run, run_sweep):
    """As earlier versions wrote them: it is read, and goes on as it began."""
    rows = results.read(run)
    for part in (run / "rows").iterdir():
        part.rename(run / part.name)
    (run / "rows").rmdir()
    pd.testing.assert_frame_equal(results.read(run), rows)
    (run / "part-000001.parquet").unlink()
    assert len(results.read(run)) < len(rows)
    run_sweep()
    assert (run / "part-000001.parquet").exists()
    assert not (run / "rows").exists()
    pd.testing.assert_frame_equal(results.read(run), rows)


def test_a_batch_holds_no_more_than_the_folder(run_sweep, pictures, monkeypatch):
    run = run_sweep(batch_size=1_000_000)
    assert results.read_manifest(run)["settings"]["batch_size"] == 11
    assert run_sweep(batch_size=1_000_000) == run  # the same settings, so complete
    made = []

    def sizes(*args, batch_size, **settings):
        made.append(batch_size)
        return make_scorers(*args, batch_size=batch_size, **settings)

    module = sys.modules["prefiqs_jax.quality.score"]
    monkeypatch.setattr(module, "make_scorers", sizes)
    given = toy_backbone(), pictures, "global/magnitude", run.parent / "s.csv"
    score(*given, batch_size=1_000_000, progress=False)
    assert made == [11]


def test_many_headers_take_a_bar(pictures, monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    folder = read_folder(pictures)
    assert check_headers(folder, 8, 8, progress=True) == []
    assert log.getvalue() == ""  # it is quick
    monkeypatch.setattr(headers, "DELAY_S", 0)
    assert check_headers(folder, 8, 8, progress=True) == []
    assert log.getvalue().splitlines()[-1].startswith("checking images: 100% 11/11")


def test_a_layer_that_is_nothing_is_said(pictures, tmp_path, capsys):
    backbone = toy_backbone()
    conv1 = {**backbone.params["conv1"]}
    conv1["kernel"] = 0 * conv1["kernel"]
    partly = dataclasses.replace(backbone, params={**backbone.params, "conv1": conv1})
    whole = jax.tree.map(lambda w: 0 * w if np.ndim(w) > 1 else w, backbone.params)
    nothing = dataclasses.replace(backbone, params=whole)
    said = "all weights are zero of conv1/kernel"
    out = tmp_path / "s.csv"
    score(partly, pictures, "global/magnitude", out, sparsity=0.9, progress=False)
    assert said in capsys.readouterr().err
    sweep(partly, pictures, "global/magnitude", [0.9], tmp_path / "run")
    assert said in capsys.readouterr().err
    out.unlink()
    with pytest.raises(InputError, match="zero already, so that no embedding changes"):
        score(nothing, pictures, "global/magnitude", out, progress=False)
    assert not out.exists()


def test_a_layer_pruned_whole_is_said(backbone, pictures, tmp_path, capsys):
    def empty(params, sparsity):
        mask = masks.mask_named("layerwise/magnitude").mask_fn(params, sparsity)
        mask["conv1"]["kernel"] = np.zeros_like(mask["conv1"]["kernel"])
        return mask

    score(backbone, pictures, empty, tmp_path / "s.csv", progress=False)
    told = "note: empty at sparsity 0.4 prunes all of conv1/kernel"
    assert told in capsys.readouterr().err
