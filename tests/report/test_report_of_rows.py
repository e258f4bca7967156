"""Reports of changes that are no masks, and of rows that are in no run folder."""

import html
import re

import numpy as np
import pandas as pd
import pytest
from toy import toy_backbone

from prefiqs_jax import results, sweep_arrays
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import NamedDelta, globally, magnitude, noise, quantised
from prefiqs_jax.report import write_report, write_rows_report
from prefiqs_jax.report.finding import finding
from prefiqs_jax.statistics import summarise
from prefiqs_jax.sweep import SweepOptions, sweep

pytestmark = pytest.mark.slow

OPTIONS = SweepOptions(batch_size=8, progress=False, tune="never")
RGB = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
CURVES = {
    "relative_residual",
    "statistics_against_sparsity",
}


def words_of(page):
    text = page.read_text("utf-8")
    text = re.sub(r"<(style|script)>.*?</\1>", "", text, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def figures_of(page):
    return {path.stem for path in (page.parent / "figures").glob("*.png")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int4", "noise"])
def test_a_run_of_a_change(tmp_path, kind):
    """One level, whose sparsity may be 0: no curve, no rounding, no division."""
    backbone = toy_backbone()
    delta = (
        quantised(backbone.params, 4)
        if kind == "int4"
        else noise(backbone.params, 0.05, seed=1)
    )
    change = NamedDelta(kind, delta)
    run = sweep(backbone, RGB, change, [], tmp_path / "run", options=OPTIONS)
    rows = results.read(run)
    assert set(rows["mask"]) == {kind}
    reached = float(rows["achieved_sparsity"].iloc[0])
    assert (reached == 0) == (kind == "noise")
    page = write_report(run)
    text, figures = words_of(page), figures_of(page)
    assert f"change of the weights {kind}" in text
    assert f"Of the embedding's change by {kind} the first order misses" in text
    assert "nothing was pruned" not in text
    assert "rounding" not in text.partition("Figure 1")[0]
    assert "sparsity" not in text.partition("Figures")[0].partition("Statistics")[0]
    assert "Made zero ‖δ‖ / ‖θ‖ Images" in text
    assert figures.isdisjoint(CURVES)
    assert {"drift_against_first_order", "drift_beside_first_order"} <= figures
    assert ("layer_sparsity" in figures) == (kind == "int4")
    table = pd.read_csv(page.parent / "tables" / "statistics.csv")
    value = table.set_index("statistic")["value"]["median_relative_residual"]
    wanted = np.median(rows["residual"] / rows["drift"])
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    norms = pd.read_csv(page.parent / "tables" / "mask.csv")
    if kind == "noise":
        np.testing.assert_allclose(norms["delta_norm_relative"], 0.05, rtol=1e-6)


@pytest.mark.slow
def test_the_norm_of_a_change_is_that_of_all_that_moves(tmp_path):
    """Biases are no prunable weights, but a fine-tuned one is part of δ."""
    backbone = toy_backbone()
    delta = {
        layer: {name: 0.5 * np.asarray(leaf) for name, leaf in leaves.items()}
        for layer, leaves in backbone.params.items()
    }
    run = sweep(
        backbone, RGB, NamedDelta("tuned", delta), [], tmp_path / "run", options=OPTIONS
    )
    manifest = results.read_manifest(run)
    np.testing.assert_allclose(manifest["delta_norm_relative"], [0.5], rtol=1e-6)
    assert manifest["settings"]["is_change"] is True


def test_a_change_that_is_rounding(tmp_path):
    """Noise so small that float32 cannot tell: said, and nothing divided by zero."""
    backbone = toy_backbone()
    rows = sweep_arrays(
        backbone, RGB, deltas={"tiny": noise(backbone.params, 1e-7, seed=1)}
    )
    table = summarise(rows)
    assert set(table["caution"]) == {"all changes are rounding"}
    assert finding(table, "tiny") == []


def test_the_finding_of_a_change():
    rows = pd.DataFrame(
        {
            "backbone": "toy",
            "mask": "int8",
            "image": [f"{i}.png" for i in range(40)],
            "identity": None,
            "sparsity": 0.0,
            "achieved_sparsity": 0.0,
            "first_order": np.linspace(0.1, 0.2, 40),
            "drift": 1.02 * np.linspace(0.1, 0.2, 40),
            "residual": 0.3 * np.linspace(0.1, 0.2, 40),
            "cosine": 0.95,
        }
    )
    told = " ".join(finding(summarise(rows), "int8"))
    assert told.replace("\N{NO-BREAK SPACE}", " ") == (
        "Of the embedding's change by int8 the first order misses 29 % (relative "
        "residual, median over the images). It holds in rank (Spearman at least 0.9) "
        "and in norm (median error within 5 %); does not hold within 10 % of the "
        "change itself, all by point estimates, whose intervals are in the table."
    )


@pytest.fixture(scope="module")
def rows():
    return sweep_arrays(toy_backbone(), RGB, "global/magnitude", [0.1, 0.4, 0.7])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_rows_in_memory_have_the_report_of_their_run(rows, tmp_path):
    page = write_rows_report(rows, tmp_path / "report")
    assert page == tmp_path / "report" / "report.html"
    run = sweep(
        toy_backbone(),
        RGB,
        globally(magnitude),
        [0.1, 0.4, 0.7],
        tmp_path / "run",
        options=OPTIONS,
    )
    other = write_report(run)
    for name in ("statistics", "quantiles"):
        mine, its = (
            pd.read_csv(each.parent / "tables" / f"{name}.csv")
            for each in (page, other)
        )
        pd.testing.assert_frame_equal(mine, its, rtol=2e-3, atol=1e-4)
    assert figures_of(page) == figures_of(other) - {"layer_sparsity"}
    assert "The images were in memory" in words_of(page)
    assert "The images were in memory" in words_of(other)
    write_rows_report(rows.assign(kind=["a", "b", "c"] * 12), tmp_path / "report")
    with pytest.raises(InputError, match="kindd"):
        write_rows_report(rows, tmp_path / "report", strata=["kindd"])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_strata_of_rows_in_memory(rows, tmp_path):
    known = rows.assign(severity=np.repeat(np.arange(12) % 2, 3).astype(float))
    page = write_rows_report(known, tmp_path / "report")
    table = pd.read_csv(page.parent / "tables" / "strata.csv")
    assert set(table["strata"]) == {"severity"}
    assert len(set(table["stratum"])) == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda r: r.assign(mask=["a", "b", "c"] * 12),
         r"rows are of 3 masks \(a, b, c\); give those of one, or compare them with "
         "prefiqs compare-masks"),
        (lambda r: r.assign(backbone=["a", "b", "c"] * 12), "rows are of 3 networks"),
        (lambda r: r.drop(columns=["drift", "cosine"]), "no column drift, cosine"),
        (lambda r: r.iloc[:0], "there are no rows; measure images first"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used(rows, tmp_path, change, told):
    with pytest.raises(InputError, match=told):
        write_rows_report(change(rows), tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.usefixtures("undrawn")
def test_other_files_are_not_replaced(rows, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.html").write_text("mine")
    with pytest.raises(InputError, match=r"report"):
        write_rows_report(rows, tmp_path / "report")
    assert (tmp_path / "report" / "report.html").read_text() == "mine"
