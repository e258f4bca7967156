"""The page of a run with measurements on request, and where the first order holds."""

import html
import re

import numpy as np
import pandas as pd
import pytest
from toy import toy_backbone

from prefiqs_jax import results, sweep_arrays
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.report import write_report, write_rows_report
from prefiqs_jax.report.on_request import unfold_rows
from prefiqs_jax.report.reached import reach_cell, reach_sentence
from prefiqs_jax.report.tables import layer_matrix
from prefiqs_jax.statistics import reach
from prefiqs_jax.sweep import SweepOptions, sweep

RGB = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
PEOPLE = [f"p{i % 4}" for i in range(12)]
SPARSITIES = [0.2, 0.4, 0.7]
ASKED = ("taylor3", "kinks", "layers", "controls")
FIGURES = {
    "taylor_orders": "orders",
    "images_within_tolerance": "held",
    "kink_residual": "kinks",
    "flips_by_depth": "flips",
    "contribution_profile": "contributions",
    "contribution_map": "contributions",
    "controls": "controls",
}
SPACE = "\N{NO-BREAK SPACE}"
SECTIONS = [
    "Taylor series beyond the first order",
    "Kinks of activations",
    "Contributions of the layers",
    "Control directions",
]


@pytest.fixture(scope="module")
def rows():
    return sweep_arrays(
        toy_backbone(),
        RGB,
        "global/magnitude",
        SPARSITIES,
        identities=PEOPLE,
        extras=ASKED,
    )


def _figures(page):
    return {path.stem for path in (page.parent / "figures").glob("*.png")}


def _table(page, name):
    return pd.read_csv(page.parent / "tables" / f"{name}.csv")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_rows_in_memory_have_what_was_asked_for(rows, tmp_path):
    page = write_rows_report(rows, tmp_path / "report")
    assert set(FIGURES) <= _figures(page)
    text = page.read_text("utf-8")
    assert re.findall(r"<h3>(.*?)</h3>", text)[: len(SECTIONS)] == SECTIONS
    orders = _table(page, "orders").pivot(
        index="sparsity", columns="quantity", values="value"
    )
    for name in ("residual", "second_order_residual", "third_order_residual"):
        wanted = (rows[name] / rows["drift"]).groupby(rows["sparsity"]).median()
        np.testing.assert_allclose(orders[name], wanted, rtol=1e-6)
    flips = _table(page, "flips").groupby("sparsity").agg({"flips": "sum"})
    wanted = rows.groupby("sparsity").agg({"flips": "mean"})
    np.testing.assert_allclose(flips, wanted, rtol=1e-6)
    shares = _table(page, "contributions")
    one = rows.loc[rows["sparsity"] == 0.4, "layers.contribution"]
    part = [each["fc/kernel"] / sum(each.values()) for each in one]
    mine = shares.loc[(shares["sparsity"] == 0.4) & (shares["layer"] == "fc/kernel")]
    np.testing.assert_allclose(mine["share"], np.median(part), rtol=1e-6)
    controls = _table(page, "controls")
    assert set(controls["sparsity"]) == set(SPARSITIES)
    assert {"gaussian", "signs", "growth"} <= set(controls["control"])
    assert "layers.contribution" not in _table(page, "images")
    held = _table(page, "held").set_index(["quantity", "sparsity"])
    for name in ("residual", "third_order_residual"):
        within = (rows[name] <= 0.1 * rows["drift"]).groupby(rows["sparsity"]).mean()
        np.testing.assert_allclose(held.loc[name, "share"], within, rtol=1e-8)
    assert np.all(held["low"] <= held["share"])
    assert np.all(held["share"] <= held["high"])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_run_has_the_tables_that_its_rows_have(rows, tmp_path):
    run = sweep(
        toy_backbone(),
        RGB,
        globally(magnitude),
        SPARSITIES,
        tmp_path / "run",
        options=SweepOptions(batch_size=12, progress=False, tune="never", extras=ASKED),
    )
    page = write_report(run)
    assert set(FIGURES) <= _figures(page)
    for name, mine in unfold_rows(rows).items():
        its = results.read(run, name)
        label = mine.columns[4]
        assert list(mine[label]) == list(its[label])
        numbers = list(mine.columns[5:])
        np.testing.assert_allclose(mine[numbers], its[numbers], rtol=2e-3, atol=2e-5)


@pytest.mark.usefixtures("undrawn")
def test_sections_are_there_only_if_the_run_has_them(make_run):
    page = write_report(make_run(4, (0.1, 0.4)))
    assert _figures(page).isdisjoint(FIGURES)
    assert not any(section in page.read_text("utf-8") for section in SECTIONS)


@pytest.mark.usefixtures("undrawn")
def test_the_page_says_where_the_first_order_holds(make_run):
    run = make_run(40, people=20)
    text = html.unescape(write_report(run).read_text("utf-8"))
    text = text.replace(SPACE, " ")
    table = reach(results.read(run))
    cell = reach_cell(table.iloc[0].to_dict()).replace(SPACE, " ")
    finding = text.partition('<p class="finding">')[2].partition("</p>")[0]
    assert f"within 10 % for 95 % of the images up to sparsity {cell}" in finding
    section = text.partition('<h2 id="reach">')[2].partition("</table>")[0]
    cells = re.findall(r'<td>(\S+)<span class="small">\[', section)
    assert cells == [f"{value:.3g}" for value in table["value"]]
    written = _table(run / "report" / "report.html", "reach")
    np.testing.assert_allclose(written["value"], table["value"], rtol=1e-6)


def test_where_it_holds_at_the_ends_of_a_run():
    line = {"strata": "all", "stratum": "all", "tolerance": 0.1, "share": 0.95}
    line |= {"lowest": 0.1, "highest": 0.9, "low": np.nan, "high": np.nan}
    for value, says in (
        (np.inf, "up to the highest sparsity, 0.9."),
        (-np.inf, "at none of the sparsities, the lowest of which is 0.1."),
        (0.25, "up to sparsity 0.25."),
    ):
        told = reach_sentence(pd.DataFrame([line | {"value": value}]))
        assert told.endswith(says)
    inside = line | {"value": 0.25, "low": -np.inf, "high": 0.3}
    worse = inside | {"strata": "severity", "stratum": "above 2/3", "value": -np.inf}
    told = reach_sentence(pd.DataFrame([inside, worse])).replace(SPACE, " ")
    assert "0.25 [< 0.1, 0.3], 95 % interval (severity above 2/3: < 0.1 [" in told
    nowhere = worse | {"high": -np.inf}
    assert reach_cell(nowhere).replace(SPACE, " ") == "< 0.1"
    # The page sets the interval apart at the first plain space.
    assert reach_cell(worse).partition(" ")[0].replace(SPACE, " ") == "< 0.1"
    assert reach_sentence(pd.DataFrame([line | {"value": np.nan}])) == ""


@pytest.mark.usefixtures("undrawn")
def test_the_worst_predicted_are_listed_clean_and_degraded_apart(make_run, tmp_path):
    run = make_run(24, (0.1, 0.4), people=12)
    names = sorted(path.name for path in (tmp_path / "run_pictures").iterdir())
    lines = [f"{name},{i % 2 * 0.5}" for i, name in enumerate(names)]
    table = tmp_path / "run_pictures" / "images.csv"
    table.write_text("\n".join(["file,severity", *lines]) + "\n")
    page = write_report(run)
    assert {"worst_predicted_faces", "strata_against_sparsity"} <= _figures(page)
    worst = _table(page, "worst_faces")
    assert list(dict.fromkeys(worst["kind"])) == ["clean", "degraded"]
    rows = results.read(run)
    rows = rows[rows["sparsity"] == 0.4].set_index("image")
    relative = rows["residual"] / rows["drift"]
    for kind, first in (("clean", 0), ("degraded", 1)):
        mine = worst[worst["kind"] == kind]
        wanted = sorted(names[first::2], key=lambda name: -relative[name])[:8]
        assert list(mine["image"]) == wanted
        assert list(mine["rank"]) == list(range(1, 9))


def test_layers_stand_in_the_order_of_their_depth():
    layers = pd.DataFrame(
        {
            "layer": ["conv_10", "conv_2", "fc", "stem"],
            "size": 1,
            "sparsity": 0.4,
            "achieved_sparsity": [0.1, 0.2, 0.3, 0.4],
        }
    )
    assert layer_matrix(layers)[0] == ["conv_2", "conv_10", "fc", "stem"]
    names, _, _, achieved = layer_matrix(layers, ["stem", "conv_2", "conv_10", "fc"])
    assert names == ["stem", "conv_2", "conv_10", "fc"]
    np.testing.assert_array_equal(achieved[:, 0], [0.4, 0.2, 0.1, 0.3])
