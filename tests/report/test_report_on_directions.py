"""The page of a run that measured its directions: tables, figures and sentences."""

import html
import io
import itertools
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from toy import toy_backbone

from prefiqs_jax import results
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.report import write_report, write_rows_report
from prefiqs_jax.report.on_directions import direction_tables
from prefiqs_jax.report.write import report_files
from prefiqs_jax.results import COLUMNS, EXTRAS
from prefiqs_jax.statistics import median_interval
from prefiqs_jax.sweep import SweepOptions, sweep

WORDS = ("validity", "path", "expected", "metric", "pixels")
SPARSITIES = (0.1, 0.4, 0.7)
SIZES = {"conv": 50, "fc": 150, "untouched": 1000}
NORMS = (0.5, 1.0, 2.0)
EXPECTED = "expected_drift"
PAIRS = {
    "expected_drift, first_order": WORDS[2],
    "expected_drift, drift": WORDS[2],
    "metric_trace, first_order": WORDS[3],
    "pixel_gradient, first_order": WORDS[4],
}


def made_up(words, degraded=True):
    """Draw rows of 12 people, three images each, and degraded copies of these."""
    rng = np.random.default_rng(0)
    originals = [f"p{i % 12}/{i:02d}.png" for i in range(36)]
    images = originals + [f"{name}~blur_0.5" for name in originals] * degraded
    count = len(images)
    trace = rng.uniform(50, 100, count)
    frames = []
    for sparsity in SPARSITIES:
        first = sparsity * rng.uniform(0.5, 1, count)
        drift = first * rng.uniform(1, 1.3, count)
        frame = {
            "backbone": "toy",
            "mask": "global/magnitude",
            "image": images,
            "identity": [name.partition("/")[0] for name in images],
            "sparsity": sparsity,
            "achieved_sparsity": sparsity,
            "first_order": first,
            "drift": drift,
            "cosine": 0.9,
            "residual": 0.1 * drift,
            "quality": 1 - drift / 2,
            "slope": rng.uniform(1.4, 2.2, count),
            "valid_t": np.where(np.arange(count) % 9, rng.uniform(0, 1, count), 1.0),
            "path_length": drift * rng.uniform(1, 1.1, count),
            "path_error": drift * rng.uniform(0.001, 0.01, count),
            "expected_drift": first * rng.uniform(0.5, 1.2, count),
            "expected_drift_error": 0.01,
            "metric_trace": trace,
            "metric_trace_error": 0.1 * trace,
            "pixel_gradient": first**2 * rng.uniform(0.5, 1, count),
        }
        frames.append(pd.DataFrame(frame))
    rows = pd.concat(frames, ignore_index=True)
    # One that moves by rounding only is in none of the tables.
    rows.loc[0, ["first_order", "drift", "path_length", "residual"]] = 1e-6
    asked = [name for word in words for name in EXTRAS[word]]
    return rows.loc[:, [*COLUMNS, *asked]]


def manifest():
    return {
        "settings": {
            "backbone": "toy",
            "mask": "global/magnitude",
            "sparsities": list(SPARSITIES),
        },
        "delta_norm": list(NORMS),
        "delta_norm_relative": [0.1, 0.2, 0.3],
        "layers": [
            {
                "name": name,
                "size": size,
                "achieved_sparsity": [0.0, 0.1, 0.2] if size < 1000 else [0.0] * 3,
                "delta_norm": [1.0] * 3,
                "delta_norm_relative": [1.0] * 3,
            }
            for name, size in SIZES.items()
        ],
    }


def level(rows, kind, sparsity):
    """Give the columns of the images of a kind that moved at a sparsity."""
    is_copy = np.array(["~" in image for image in rows["image"]])
    of = {"all": is_copy | True, "clean": ~is_copy, "degraded": is_copy}[kind]
    own = rows[of & (rows["drift"] > 1e-5) & (rows["sparsity"] == sparsity)]
    return {name: own[name].to_numpy() for name in own}


def lines(files, name):
    """Give the lines of a table by kind, quantity and sparsity."""
    table = pd.read_csv(io.BytesIO(files[f"tables/{name}.csv"]))
    keys = ("stratum", "quantity", "sparsity")
    return {tuple(line[key] for key in keys): line for line in table.to_dict("records")}


def figures(files):
    found = (re.fullmatch(r"figures/(.*)\.png", path) for path in files)
    return {match[1] for match in found if match}


@pytest.mark.usefixtures("undrawn")
def test_every_table_is_what_numpy_makes_of_the_rows():
    rows = made_up(WORDS)
    files = report_files(rows, manifest(), None)
    assert set(WORDS) <= figures(files)
    for table, columns, over in (
        ("validity", ["slope", "valid_t"], None),
        ("path", ["path_length", "path_error"], "drift"),
        ("expected", ["first_order", "drift", f"{EXPECTED}_error"], EXPECTED),
        ("metric", ["quotient", "quotient_error"], None),
    ):
        found = lines(files, table)
        keys = itertools.product(("all", "clean", "degraded"), columns, SPARSITIES)
        for kind, column, sparsity in keys:
            own = level(rows, kind, sparsity)
            # The metric is over the leaves that lose weights.
            mean = own["metric_trace"] / (SIZES["conv"] + SIZES["fc"])
            norm = NORMS[SPARSITIES.index(sparsity)]
            own["quotient"] = own["first_order"] ** 2 / norm**2 / mean
            own["quotient_error"] = own["metric_trace_error"] / own["metric_trace"]
            line = found.pop((kind, column, sparsity))
            ratio = own[column] / (1 if over is None else own[over])
            np.testing.assert_allclose(line["value"], np.median(ratio), rtol=1e-8)
            people = np.unique(own["identity"], return_inverse=True)[1]
            ends = line["low"], line["high"]
            np.testing.assert_allclose(ends, median_interval(ratio, people), rtol=1e-8)
            assert (line["images"], line["clusters"]) == (len(ratio), 12)
        assert not found
    found = lines(files, "rank_correlations")
    assert {quantity for _, quantity, _ in found} == set(PAIRS)
    for (kind, quantity, sparsity), line in found.items():
        own = level(rows, kind, sparsity)
        one, other = quantity.split(", ")
        rho = stats.spearmanr(own[one], own[other])[0]
        assert line["value"] == pytest.approx(rho, rel=1e-8)
        assert line["low"] < line["value"] < line["high"]


@pytest.mark.usefixtures("undrawn")
def test_the_page_states_counts_and_findings():
    rows = made_up(WORDS)
    text = html.unescape(str(report_files(rows, manifest(), None)["report.html"]))
    levels = [level(rows, "all", sparsity) for sparsity in SPARSITIES]
    for sparsity, own in zip(SPARSITIES, levels, strict=True):
        whole = np.sum(own["valid_t"] == 1)
        assert f"0 and {whole} of {len(own['image'])} at sparsity {sparsity}" in text
    finding = text.partition('<p class="finding">')[2].partition("</p>")[0]
    for column, over, words in (
        ("path_length", "drift", "its chord (median)"),
        ("first_order", EXPECTED, "with the norm of δ in every layer (median)"),
    ):
        first, _, last = (np.median(own[column] / own[over]) for own in levels)
        assert f"{words}: {first:.3g} at sparsity 0.1, {last:.3g} at 0.7." in finding
    rho = stats.spearmanr(levels[-1]["pixel_gradient"], levels[-1]["first_order"])[0]
    assert f", {rho:.3g} at 0.7." in finding


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("word", WORDS)
def test_one_word_has_its_figure_and_table_only(word):
    files = report_files(made_up([word], degraded=False), manifest(), None)
    assert figures(files) & set(WORDS) == {word}
    pairs = [pair for pair, of in PAIRS.items() if of == word]
    tables = {name for name in WORDS if f"tables/{name}.csv" in files}
    assert tables == {word} - {"pixels"}
    assert ("tables/rank_correlations.csv" in files) == bool(pairs)
    if pairs:
        ranks = lines(files, "rank_correlations")
        assert set(ranks) == set(itertools.product(["all"], pairs, SPARSITIES))


@pytest.mark.usefixtures("undrawn")
def test_rows_in_memory_and_changes_lack_what_a_metric_is_over(tmp_path):
    rows = made_up(["metric"])
    page = write_rows_report(rows, tmp_path / "report")
    assert not (page.parent / "tables" / "metric.csv").exists()
    assert (page.parent / "figures" / "metric.png").exists()
    assert "is known of masks in a run folder only" in page.read_text("utf-8")
    changed = manifest()
    changed["settings"]["is_change"] = True
    one = rows.loc[rows["sparsity"] == 0.4]
    assert "tables/metric.csv" not in report_files(one, changed, None)


def test_nothing_is_made_of_what_was_not_measured():
    assert direction_tables(made_up([]), None, None, 1e-5) == {}


@pytest.mark.usefixtures("undrawn")
def test_precisions_whose_rounding_is_larger_leave_all_of_it_out():
    run = manifest()
    run["settings"]["precision"] = "fast"
    rows = made_up(WORDS)
    files = report_files(rows, run, None)
    moved = np.maximum(rows["drift"], rows["first_order"]) > 0.1
    found = lines(files, "path")
    for sparsity in SPARSITIES:
        count = np.sum(moved & (rows["sparsity"] == sparsity))
        assert found["all", "path_length", sparsity]["images"] == count
    assert found["all", "path_length", 0.1]["images"] < 36
    # No remainder is above that, and no change at t = 1/16.
    assert not any(line["images"] for line in lines(files, "validity").values())
    assert "Largest part t" not in str(files["report.html"])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_run_with_all_words_has_all_figures(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    run = sweep(
        toy_backbone(),
        rgb,
        globally(magnitude),
        [0.2, 0.4, 0.7],
        tmp_path / "run",
        options=SweepOptions(
            batch_size=12, progress=False, tune="never", extras=tuple(EXTRAS)
        ),
    )
    page = write_report(run)
    drawn = {path.stem for path in (page.parent / "figures").glob("*.png")}
    assert {*WORDS, "controls", "contribution_map", "taylor_orders"} <= drawn
    rows = results.read(run)
    metric = pd.read_csv(page.parent / "tables" / "metric.csv")
    record = results.read_manifest(run)
    count = sum(layer["size"] for layer in record["layers"])
    for sparsity, norm in zip([0.2, 0.4, 0.7], record["delta_norm"], strict=True):
        own = rows[rows["sparsity"] == sparsity]
        quotient = (own["first_order"] / norm) ** 2 * count / own["metric_trace"]
        of_it = (metric["quantity"] == "quotient") & (metric["sparsity"] == sparsity)
        found = metric.loc[of_it, "value"].to_numpy()
        np.testing.assert_allclose(found, [np.median(quotient)], rtol=1e-6)
