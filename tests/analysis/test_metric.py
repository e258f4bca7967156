"""The pruning direction against the metric: a toy's dense Jacobian, lines by hand."""

import jax
import numpy as np
import pandas as pd
import pytest
from simulated_run import EACH, WEIGHTS, one
from toy import toy_network

from prefiqs_jax.masks import mask_named, pruning_delta
from prefiqs_jax.sensitivity import embed
from prefiqs_jax.trees import is_prunable, named_leaves


@pytest.fixture(scope="module")
def metric(script):
    return script("metric")


@pytest.fixture(scope="module")
def table(metric, simulated):
    return metric.measure(simulated[0])


@pytest.mark.slow
def test_columns_against_the_dense_jacobian(metric, toy_faces):
    apply_fn, params, _ = toy_network(np.float32)
    delta = pruning_delta(params, mask_named("global/magnitude")(params, 0.4))
    found = metric.observe(toy_faces)(delta, False)
    jacobian = jax.jacrev(lambda p: embed(apply_fn, p, toy_faces.images))(params)
    parts, moved = {}, {}
    for (name, leaf), (_, own), (_, d) in zip(
        *map(named_leaves, (params, jacobian, delta)), strict=True
    ):
        if is_prunable(name, leaf):
            parts[name] = np.asarray(own, "f8").reshape(*own.shape[:2], -1)
            moved[name] = np.asarray(d, "f8").ravel()
    whole = np.concatenate(list(parts.values()), axis=-1)
    flat = np.concatenate(list(moved.values()))
    assert set(found["weights"]) == {flat.size}
    np.testing.assert_allclose(found["delta_norm"], np.linalg.norm(flat), rtol=1e-6)
    trace = (whole**2).sum((1, 2))
    assert np.abs((found["trace"] - trace) / found["trace_error"]).max() < 4
    expected = sum(
        (d @ d) / d.size * (parts[n] ** 2).sum((1, 2)) for n, d in moved.items()
    )
    assert np.abs((found["expected"] - expected) / found["expected_error"]).max() < 4
    # The first image of each of the four people: five of six directions, which is all.
    few = np.flatnonzero(np.isfinite(found["eigenvalue_1"]))
    assert few.tolist() == [toy_faces.identities.index(f"p{i}") for i in range(4)]
    values = np.linalg.svd(whole[few], compute_uv=False)[:, :5] ** 2
    for place in range(5):
        own = found[f"eigenvalue_{place + 1}"][few]
        np.testing.assert_allclose(own, values[:, place], rtol=1e-4)
        assert (found[f"eigen_residual_{place + 1}"][few] < 1e-3 * values[:, 0]).all()
    np.testing.assert_allclose(found["share_effect"][few], 1, rtol=1e-4)
    rows = np.linalg.svd(whole[few], full_matrices=False)[2][:, :5]
    share = ((rows @ flat) ** 2).sum(-1) / (flat @ flat)
    np.testing.assert_allclose(found["share_norm"][few], share, rtol=1e-3)
    np.testing.assert_allclose(found["share_random"][few], 5 / flat.size, rtol=1e-6)


def test_ratios_and_ranks_by_hand(table, simulated):
    rows = simulated[0].rows
    own = rows[rows["sparsity"] == 0.3]
    quotient = (own["first_order"] / 0.3) ** 2 / (own["trace"] / WEIGHTS)
    ratio = own["first_order"] ** 2 / own["expected"]
    for name, values in (("quotient", quotient), ("expected_ratio", ratio)):
        logs = np.log(values.to_numpy())
        for stratum, chosen in (("clean", slice(40)), ("degraded", slice(40, 80))):
            line = one(table, statistic=name, stratum=stratum, sparsity=0.3)
            assert line["value"] == pytest.approx(np.exp(logs[chosen].mean()))
            assert line["low"] < line["value"] < line["high"]
        line = one(table, statistic="degraded_ratio", of=name, sparsity=0.3)
        assert line["value"] == pytest.approx(np.exp((logs[40:] - logs[:40]).mean()))
        assert line["images"] == 40
    line = one(
        table,
        statistic="spearman",
        of="‖Jδ‖, expected",
        sparsity=0.3,
        stratum="all",
    )
    ranks = own[["first_order", "expected"]].rank()
    assert line["value"] == pytest.approx(np.corrcoef(ranks.T)[0, 1])
    line = one(table, statistic="nearer", sparsity=0.3, stratum="all")
    with_norm = own[["norm", "expected"]].rank()
    sizes = [abs(np.corrcoef(each.T)[0, 1]) for each in (with_norm, ranks)]
    assert line["value"] == pytest.approx(sizes[0] - sizes[1])
    errors = table[table["statistic"] == "standard_error"]
    assert sorted({round(value, 9) for value in errors["value"]}) == [0.05, 0.1]


def test_few_faces_stand_for_themselves(table, simulated):
    rows = simulated[0].rows
    own = rows[rows["sparsity"] == 0.6].iloc[np.arange(5) * EACH]
    keys = {"sparsity": 0.6, "stratum": "clean"}
    logs = np.log(own["share_norm"].to_numpy())
    line = one(table, statistic="share", of="pruning", **keys)
    assert line["value"] == pytest.approx(np.exp(logs.mean()))
    assert line["images"] == line["people"] == 5
    # Student's interval of five numbers is narrower than what holds for all lines.
    spread = 2.776 * logs.std(ddof=1) / np.sqrt(5)
    assert np.log(line["high"] / line["value"]) > 0.99 * spread
    line = one(table, statistic="unconverged", **keys)
    assert line["value"] == pytest.approx(0.2)
    line = one(table, statistic="eigen_share", of="λ2", **keys)
    assert line["value"] == pytest.approx(0.125)


def test_the_finding_is_made_of_the_lines(metric, table):
    said = metric.finding(table)
    for name in ("quotient", "expected_ratio"):
        low, high = (
            one(table, statistic=name, stratum="clean", sparsity=sparsity)["value"]
            for sparsity in (0.1, 0.6)
        )
        words = f" is {low:.2f} at the lowest sparsity and {high:.2f} at the highest"
        assert words in said
    assert "highest; in 0 of 3 the first orders are alike to 10%; the two" in said
    ratio = table["statistic"] == "expected_ratio"
    ends = {"low": 0.85, "high": 1.2}
    alike = table.assign(**{n: table[n].mask(ratio, to) for n, to in ends.items()})
    words = "in 3 of 3 the first orders are alike to 10%: there, against the claim, the"
    assert words in metric.finding(alike)
    beyond = alike.assign(high=alike["high"].mask(ratio & (table["sparsity"] < 1), 1.3))
    assert "against the claim" not in metric.finding(beyond)
    nearer = table["statistic"] == "nearer"
    sure = table.assign(low=table["low"].mask(nearer & (table["sparsity"] < 0.5), 0.1))
    assert "in 2 of 3 the second is nearer" in metric.finding(sure)
    ratio = table["statistic"] == "quotient"
    sparse = ratio & (table["sparsity"] < 0.5)
    more = table.assign(
        low=table["low"].mask(ratio, 0.5).mask(sparse, 1.1),
        high=table["high"].mask(ratio, 0.9).mask(sparse, 1.2),
    )
    both = metric.finding(pd.concat([more, more.assign(run="other")]))
    assert "significantly above 1 in 4 and below in 2 of 6 runs and sp" in both
    few = metric.finding(table.assign(low=np.nan, high=np.nan))
    assert "above 1 in 0 and below in 0 of 0 (no intervals) runs" in few


def test_the_row_is_made_of_the_lines(metric, table):
    cells = metric.row(table)

    def told(form, **keys):
        lines = [one(table, sparsity=sparsity, **keys) for sparsity in (0.1, 0.6)]
        return " → ".join(
            f"{line['value']:{form}} [{line['low']:{form}}, {line['high']:{form}}]"
            for line in lines
        )

    for name, words in metric.RATIOS.items():
        assert cells[words] == told(".2f", statistic=name, stratum="clean")
        copies = told(".2f", statistic="degraded_ratio", of=name)
        assert cells[f"{words}, degraded"] == copies
    of = "expected, norm"
    ranks = told(".2f", statistic="spearman", of=of, stratum="clean")
    assert cells[f"Spearman: {of}"] == ranks
    assert cells["5 eigenvalues"] == "38% (2 of 10 not converged)"
    shares = told(".1e", statistic="share", of="pruning", stratum="clean")
    assert cells["share of ‖δ‖²"] == shares
    alone = table[~table["statistic"].isin(["share", "degraded_ratio", "effect"])]
    less = metric.row(alone)
    assert list(less) == list(cells)
    gone = {name for name, cell in less.items() if cell == "–"}
    assert gone == {
        "over all weights, degraded",
        "over layers' norms, degraded",
        "5 eigenvalues",
        "share of ‖δ‖²",
        "share of random",
        "share of ‖Jδ‖²",
    }
