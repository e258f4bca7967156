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


def test_the_finding_says_what_contradicts(controls, table):
    said = controls.finding(table)
    assert "12 of 12 ratios differ from 1" in said
    apart = table.assign(
        low=table["low"].where(table["statistic"] != "excess", -0.3),
        high=table["high"].where(table["statistic"] != "excess", -0.1),
    )
    apart = controls.finding(apart)
    assert "The two differ in 12 of 12 comparisons (gaussian, signs, shuf" in apart
    assert "contradicts" not in apart
    alike = table.assign(
        low=table["low"].where(table["statistic"] != "excess", -0.29),
        high=table["high"].where(table["statistic"] != "excess", 0.2),
    )
    said = controls.finding(alike)
    assert "The two differ in 0 of 12 comparisons; in 12 they differ by ±0.3" in said
    assert "which contradicts that the pruning direction is special" in said
    wide = alike["sparsity"] == 0.1
    mixed = alike.assign(low=alike["low"].where(~wide, -0.31))
    assert controls.finding(mixed).endswith("; 4 are too uncertain to tell.")
