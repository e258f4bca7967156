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
    assert said.count(". ") == 1  # two sentences
    reach = one(table, statistic="reach", stratum="clean", of="order 1")["value"]
    assert f"up to a sparsity of {reach:.2g} (simulated (toy), global/magnit" in said
    assert "order 3 leaves less than order 2 in 0 of 3 and more in 3" in said
    at = {"statistic": "kink_part", "stratum": "clean"}
    low, high = (one(table, sparsity=s, **at)["value"] for s in (0.1, 0.6))
    assert f"are {low:.0%} of the first order's squared error at the lowest" in said
    assert f"and {high:.0%} at the highest; `predicted_error`" in said
    turned = table.assign(
        low=table["low"].where(table["statistic"] != "gain", 1.1),
        high=table["high"].where(table["statistic"] != "gain", 1.2),
        value=table["value"].where(table["statistic"] != "reach", -np.inf),
    )
    turned = limits.finding(turned)
    assert "order 2 leaves less than order 1 in 0 of 3 and more in 3" in turned
    assert "of the images not even at the lowest sparsity in 1 of 1 runs" in turned


def test_the_row_is_made_of_the_lines(limits, table):
    cells = limits.row(table)
    first, last = (
        one(table, statistic="gain", stratum="clean", sparsity=s, of="order 2")
        for s in (0.1, 0.6)
    )
    gains = cells["order 2 over order 1"]
    assert gains.startswith(f"{first['value']:.2f} [{first['low']:.2f}, ")
    assert f" → {last['value']:.2f} [{last['low']:.2f}, " in gains
    line = one(table, statistic="reach", stratum="clean", of="order 1")
    assert np.isneginf(line["low"])
    far = f"{line['value']:.2g} [below 0.1, {line['high']:.2g}]"
    assert cells["order 1 within 10% up to"] == far
    below = table.assign(
        **{
            name: table[name].where(table["statistic"] != "reach", -np.inf)
            for name in ("value", "low", "high")
        }
    )
    assert limits.row(below)["order 1 within 10% up to"] == "below 0.1"
    clean_only = table[table["stratum"] == "clean"]
    assert limits.row(clean_only)["kinks, degraded"] == "–"
    assert list(limits.row(clean_only)) == list(cells)
    ranked = (table["of"] == "flips") & (table["statistic"] == "spearman")
    best = limits.row(table.assign(value=table["value"].where(~ranked, 0.99)))
    assert best["ranks best"] == "`flips` (0.99)"
