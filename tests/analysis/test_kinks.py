"""Flips by layer, and images near a kink."""

import pandas as pd
import pytest
from simulated_run import one


@pytest.fixture(scope="module")
def kinks(script):
    return script("kinks")


@pytest.fixture(scope="module")
def table(kinks, simulated):
    return kinks.measure(simulated[0])


def test_flips_by_hand(table, simulated):
    lines = simulated[0].tables["kinks"]
    for name in ("relu1", "relu2"):
        own = lines[(lines["activation"] == name) & (lines["sparsity"] == 0.3)]
        keys = {"of": name, "sparsity": 0.3, "stratum": "degraded"}
        line = one(table, statistic="flips", **keys)
        assert line["value"] == pytest.approx(own["flips"].to_numpy()[40:].mean())
        line = one(table, statistic="predicted_ratio", **keys)
        assert line["value"] == pytest.approx(2)
        assert line["low"] == pytest.approx(2)
    keys = {"of": "all layers", "sparsity": 0.3, "stratum": "all"}
    parts = table[(table["statistic"] == "flips") & (table["stratum"] == "all")]
    parts = parts[(parts["sparsity"] == 0.3) & (parts["of"] != "all layers")]
    line = one(table, statistic="flips", **keys)
    assert line["value"] == pytest.approx(parts["value"].sum())
    assert one(table, statistic="near_kinks", **keys)["value"] == pytest.approx(0.05)
    assert one(table, statistic="near_units", **keys)["value"] == pytest.approx(0.15)


def test_images_near_a_kink_are_named(kinks, simulated):
    found = kinks.near_images(simulated[0])
    names = [f"p{5 * i}/{20 * i}.png" for i in range(2)]
    assert set(found["image"]) == {*names, *(f"{name}~blur_0.5" for name in names)}
    assert set(found["units"]) == {3.0}


def test_the_finding_is_made_of_the_lines(kinks, table):
    said = kinks.finding(table)
    assert "the tangents predict 2 times as many" in said
    assert "2 of 40 images have an input within rounding of a kink" in said
    keys = {"statistic": "kink_part", "stratum": "clean", "of": "all layers"}
    low, high = (one(table, sparsity=s, **keys)["value"] for s in (0.1, 0.6))
    assert f"make {low:.0%} of the first order's squared error" in said
    assert f"and {high:.0%} at the highest." in said
    two = pd.concat([table, table.assign(run="other", value=0.0)])
    assert kinks.finding(two).startswith("Units that change side")
    still = kinks.finding(table.assign(value=0.0))
    assert still == "No unit changes side of a kink in any run, at any sparsity."


def test_the_row_is_made_of_the_lines(kinks, table):
    cells = kinks.row(table)
    line = one(table, statistic="flips", stratum="clean", sparsity=0.6, of="all layers")
    assert f" → {line['value']:,.0f} [" in cells["flips"]
    assert cells["predicted over real"] == "2 [2, 2] → 2 [2, 2]"
    assert cells["images near a kink"] == "2 of 40"
    still = kinks.row(table.assign(value=0.0))
    assert still["most, at the highest sparsity"] == "–"
    assert list(still) == list(cells)
