"""Pruning beside its controls, by stratum, and in words."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import rankdata
from simulated_run import one


@pytest.fixture(scope="module")
def controls(script):
    return script("controls")


@pytest.fixture(scope="module")
def table(controls, simulated):
    return controls.measure(simulated[0])


def drifts(simulated, kind, sparsity, stratum):
    lines = simulated[0].tables["controls"]
    lines = lines[(lines["sparsity"] == sparsity)]
    own = [lines[lines["control"] == f"{kind}/{i}"]["drift"] for i in range(3)]
    return np.array(own)[:, stratum]


def rank_correlation(a, b):
    return np.corrcoef(rankdata(a), rankdata(b))[0, 1]


def test_ratios_and_ranks_by_hand(table, simulated):
    rows = simulated[0].rows
    for name, chosen in (("clean", slice(40)), ("degraded", slice(40, 80))):
        pruning = rows[rows["sparsity"] == 0.3]["drift"].to_numpy()[chosen]
        own = drifts(simulated, "signs", 0.3, chosen)
        keys = {"stratum": name, "sparsity": 0.3, "of": "signs"}
        line = one(table, statistic="drift", **keys)
        assert line["value"] == pytest.approx(pruning.mean() / own.mean())
        assert line["low"] > 1  # controls move half as far
        ranks = [rank_correlation(pruning, each) for each in own]
        between = [rank_correlation(*pair) for pair in combinations(own, 2)]
        line = one(table, statistic="spearman", pair="pruning, control", **keys)
        assert line["value"] == pytest.approx(np.mean(ranks))
        line = one(table, statistic="excess", **keys)
        assert line["value"] == pytest.approx(np.mean(ranks) - np.mean(between))
        assert line["low"] < line["value"] < line["high"]
    # Residual and drift of every control are scaled alike.
    lines = table[table["statistic"] == "relative_residual"]
    np.testing.assert_allclose(lines["value"], 1)


@pytest.fixture
def alike(table):
    """Make ranks alike, at one sparsity too uncertain to tell, and drifts alike."""
    of = table["statistic"]
    bounds = {"value": (1.0, 0.1), "low": (0.92, -0.29), "high": (1.09, 0.2)}
    made = table.assign(
        **{
            name: table[name].mask(of == "drift", drift).mask(of == "excess", excess)
            for name, (drift, excess) in bounds.items()
        }
    )
    unsure = (of == "excess") & (table["sparsity"] == 0.1)
    return made.assign(low=made["low"].mask(unsure, -0.31))


def test_the_finding_says_what_contradicts(controls, table, alike):
    said = controls.finding(table)
    assert "in every layer: not alike in 12 of 12 comparisons (gaussian 3, " in said
    assert "special in how far" not in said
    said = controls.finding(alike)
    assert (
        "is 1.00 times that along directions of the same norm in every layer: alike to "
        "10% in 12 of 12 comparisons, where, against the claim, the pruning direction "
        "is not special in how far it moves faces; not alike in 0." in said
    )
    assert "alike to ±0.3 in 8 of 12 comparisons, where, against the claim" in said
    assert said.endswith("ranks them; not alike in 0; too uncertain to tell: 4.")
    # Different, and yet all of the interval within the bounds: alike.
    near = alike.assign(high=alike["high"].mask(alike["statistic"] == "drift", 0.99))
    assert "alike to 10% in 12 of 12" in controls.finding(near)
    one_draw = table.assign(value=table["value"].mask(table["statistic"] == "excess"))
    assert controls.finding(one_draw).endswith("how alike it ranks images.")


def test_the_row_is_made_of_the_lines(controls, table, alike):
    cells = controls.row(table)
    keys = {"statistic": "drift", "stratum": "clean", "of": "signs"}
    low, high = (one(table, sparsity=s, **keys) for s in (0.1, 0.6))
    drift = cells["drift over signs"]
    assert drift.startswith(f"{low['value']:.2f} [{low['low']:.2f}, ")
    assert f" → {high['value']:.2f} [{high['low']:.2f}, " in drift
    assert cells["alike, not"] == "0, 12 of 12"
    cells = controls.row(alike)
    assert cells["alike, not"] == "12, 0 of 12"
    assert cells["ranks alike, not"] == "8, 0 of 12"
    missed = table[(table["statistic"] == "relative_residual")]
    missed = missed[missed["stratum"] == "clean"].sort_values("sparsity")
    first, last = (missed["observed"].iloc[place] for place in (0, -1))
    assert cells["first order misses"] == f"{first:.0%} → {last:.0%}"
