"""Residuals by order, the kinks' part of the error and what warns of it, by hand."""

import numpy as np
import pytest
from scipy import stats
from simulated_run import PEOPLE, SPARSITIES, norms, one, without_each_person

from prefiqs_jax.statistics import jackknife_interval


@pytest.fixture(scope="module")
def limits(script):
    return script("first_order_limits")


@pytest.fixture(scope="module")
def table(limits, simulated):
    return limits.measure(simulated[0])


def clean(simulated, sparsity):
    rows = simulated[0].rows
    return rows[(rows["sparsity"] == sparsity) & (rows["severity"] == 0)]


def test_residuals_by_order(table, simulated):
    rows = clean(simulated, 0.3)
    for order, name in ((1, "residual"), (2, "second_order_residual")):
        keys = {"stratum": "clean", "sparsity": 0.3, "of": f"order {order}"}
        relative = (rows[name] / rows["drift"]).to_numpy()
        line = one(table, statistic="relative_residual", **keys)
        assert line["value"] == pytest.approx(stats.gmean(relative))
        within = one(table, statistic="within", **keys)["value"]
        assert within == pytest.approx((relative <= 0.1).mean())
    gain = rows["second_order_residual"] / rows["residual"]
    line = one(table, statistic="gain", **keys)
    assert line["value"] == pytest.approx(stats.gmean(gain))
    assert (line["images"], line["people"]) == (40, PEOPLE)
    # One person at a time; all lines together make it wider than a jackknife's alone.
    without = without_each_person(np.log(gain.to_numpy()))
    low, high = jackknife_interval(np.log(line["value"]), without)
    width = np.log(line["high"] / line["low"])
    assert high - low < width < 2.5 * (high - low)
    assert one(table, statistic="gain", **(keys | {"of": "order 3"}))["low"] > 1


def test_the_kinks_part_is_a_projection(table, simulated):
    for sparsity, (_, smooth, kinks, _) in simulated[1].items():
        error = (smooth + kinks)[:40]
        part = (kinks[:40] * error).sum() / (error**2).sum()
        keys = {"stratum": "clean", "sparsity": sparsity, "of": "kinks"}
        assert one(table, statistic="kink_part", **keys)["value"] == pytest.approx(part)
        square = (kinks[:40] ** 2).sum() / (error**2).sum()
        line = one(table, statistic="square_ratio", **keys)
        assert line["value"] == pytest.approx(square)
        line = one(table, statistic="norm_ratio", **(keys | {"of": "smooth"}))
        ratio = norms(smooth[:40]).sum() / norms(error).sum()
        assert line["value"] == pytest.approx(ratio)


def test_what_warns(table, simulated):
    rows = clean(simulated, 0.3)
    relative, known = rows["relative_residual"], rows["predicted_error"]
    keys = {"stratum": "clean", "sparsity": 0.3, "of": "predicted_error"}
    line = one(table, statistic="spearman", **keys)
    assert line["value"] == pytest.approx(stats.spearmanr(known, relative)[0])
    assert line["low"] > 0.5
    off = relative > 0.1
    pairs = known[off].to_numpy()[:, None] > known[~off].to_numpy()
    line = one(table, statistic="auroc", **keys)
    assert line["value"] == pytest.approx(pairs.mean())
    strata = table[(table["of"] == "severity") & (table["statistic"] == "spearman")]
    assert set(strata["stratum"]) == {"all"}  # within others it does not vary


def test_reach_of_each_order(table, simulated):
    """Up to it, 95 % of the images' residuals are within, on straight lines; no more.

    The value is where the third of 40 images crosses 10 %.
    """
    rows = simulated[0].rows
    rows = rows[rows["severity"] == 0]
    for order, name in ((1, "residual"), (3, "third_order_residual")):
        relative = rows.assign(relative=rows[name] / rows["drift"])
        wide = relative.pivot(index="image", columns="sparsity", values="relative")
        at = one(table, statistic="reach", stratum="clean", of=f"order {order}")
        assert at["low"] <= at["value"] <= at["high"]
        assert SPARSITIES[0] < at["value"] < SPARSITIES[-1]
        for step, share in ((-1e-9, 38 / 40), (1e-9, 37 / 40)):
            upper = at["value"] + step
            path = [*(s for s in SPARSITIES if s < upper), upper]
            paths = [np.interp(path, SPARSITIES, line) for line in wide.to_numpy()]
            assert np.mean(np.max(paths, axis=1) <= 0.1) == share
    assert (at["images"], at["people"]) == (40, PEOPLE)


def test_the_finding_is_made_of_the_lines(limits, table):
    said = limits.finding(table)
    assert said.startswith(
        "**simulated** (toy, global/magnitude; 40 clean images of 10"
    )
    line = one(table, statistic="gain", stratum="clean", sparsity=0.6, of="order 2")
    assert f"0.6 (× {line['value']:.2f} [{line['low']:.2f}" in said
    assert "order 3 leaves less than order 2 at no sparsity, more at 0.1" in said
    line = one(table, statistic="kink_part", stratum="clean", sparsity=0.1)
    assert f"Kinks are {line['value']:.0%} [" in said
    turned = table.assign(
        value=table["value"].where(table["of"] != "flips", 0.99),
        low=table["low"].where(table["statistic"] != "gain", 1.1),
        high=table["high"].where(table["statistic"] != "gain", 1.2),
    )
    turned = limits.finding(turned)
    assert "order 2 leaves less than order 1 at no sparsity, more at 0.1" in turned
    assert "`flips` (known after pruning) ranks them better, with 0.99" in turned
