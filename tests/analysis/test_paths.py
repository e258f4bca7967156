"""Paths, remainders and what ranks them: computed on a toy, and from known powers."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from simulated_run import SCALES, one
from toy import toy_network

from prefiqs_jax.masks import mask_named, pruning_delta
from prefiqs_jax.sensitivity import displacement, drift_of, kink_split, remainders


@pytest.fixture(scope="module")
def paths(script):
    return script("paths")


@pytest.fixture(scope="module")
def table(paths, simulated):
    return paths.measure(simulated[0])


@pytest.mark.slow
def test_columns_are_the_functions_of_the_package(paths, toy_faces):
    apply_fn, params, _ = toy_network(np.float32)
    mask = mask_named("global/magnitude")
    delta = pruning_delta(params, mask(params, 0.4))
    found = paths.observe(toy_faces)(delta, True)
    params, delta, images = jax.tree.map(
        lambda leaf: jnp.asarray(leaf, "f8"), (params, delta, toy_faces.images)
    )
    moved = displacement(apply_fn, params, delta, images)
    np.testing.assert_allclose(found["moved_1"], drift_of(moved), rtol=1e-12)
    for order in (1, 2, 3):
        left = remainders(apply_fn, params, delta, images, SCALES, order)
        for t, own in zip(SCALES, left, strict=True):
            np.testing.assert_allclose(found[f"order{order}_{t:g}"], own, atol=1e-14)
    smooth = drift_of(kink_split(apply_fn, params, delta, images).smooth)
    np.testing.assert_allclose(found["frozen1_1"], smooth, rtol=1e-10)
    # Polygons of many chords come near the path from below.
    steps = np.linspace(0, 1, 2001)
    points = paths.displacements_along(apply_fn, params, delta, images, steps)
    polygon = np.linalg.norm(np.diff(points, axis=0), axis=-1).sum(axis=0)
    assert (found["path_error"] <= 0.03 * found["moved_1"].max()).all()
    np.testing.assert_allclose(found["length"], polygon, rtol=0.05)
    assert (found["panels"] >= 1).all()


def test_powers_and_steps_by_hand(table, simulated):
    rows = simulated[0].rows
    own = rows[(rows["sparsity"] == 0.6) & (rows["severity"] > 0)]
    factor = (own["order1_1"] / own["moved_1"]).to_numpy()
    keys = {"sparsity": 0.6, "stratum": "degraded"}
    for k in (1, 2, 3):
        at = {"sparsity": 0.3, "stratum": "degraded", "of": f"order {k}"}
        assert one(table, statistic="order_slope", **at)["value"] == pytest.approx(1.5)
        line = one(table, statistic="frozen_slope", **at)
        assert line["value"] == pytest.approx(k + 1)
        at = {**keys, "of": f"order {k}"}
        # The relative residual is factor / k · √t.
        valid = np.minimum((0.1 * k / factor) ** 2, 4)
        line = one(table, statistic="valid", **at)
        assert line["value"] == pytest.approx(valid.mean())
        line = one(table, statistic="pruned", **at)
        assert line["value"] == pytest.approx((valid >= 1).mean())
    line = one(table, statistic="length", **keys)
    assert [line["value"], line["low"], line["high"]] == pytest.approx([1.1] * 3)
    assert one(table, statistic="path_error", **keys)["value"] == pytest.approx(0.01)
    ranks = np.argsort(np.argsort(own["norm"].to_numpy()))
    valid = np.minimum((0.1 / factor) ** 2, 4)
    middle = [np.mean(np.flatnonzero(np.sort(valid) == v)) for v in valid]
    line = one(table, statistic="spearman", of="norm", **keys)
    assert line["value"] == pytest.approx(np.corrcoef(ranks, middle)[0, 1])
    clean = table[(table["stratum"] == "clean") & (table["of"] == "severity")]
    assert clean.empty
    line = one(
        table,
        statistic="frozen_remainder",
        stratum="clean",
        of="order 2 at t = 0.125",
    )
    own = rows[(rows["sparsity"] == 0.3) & (rows["severity"] == 0)]
    assert line["value"] == pytest.approx(np.exp(np.log(own["frozen2_0.125"]).mean()))


def test_rounding_has_no_slope(paths, simulated):
    rows = simulated[0].rows
    gone = {n: 1e-15 for n in rows if n.startswith("frozen3_") and n != "frozen3_4"}
    table = paths.measure(simulated[0]._replace(rows=rows.assign(**gone)))
    assert set(table[table["statistic"] == "frozen_slope"]["of"]) == {
        "order 1",
        "order 2",
    }
    assert "order 3 at t = 1" not in set(
        table[table["statistic"] == "frozen_remainder"]["of"]
    )
    assert "(kinks frozen: 2.00 and 3.00)" in paths.finding(table)
    cell = paths.row(table)["powers of t, kinks frozen"]
    assert cell == "2.00 [2.00, 2.00], 3.00 [3.00, 3.00], –"


def test_the_finding_is_made_of_the_lines(paths, table):
    said = paths.finding(table)
    assert "chord is 1.100 at the lowest sparsity and 1.100 at the highest, and" in said
    ends = [
        one(table, statistic="valid", of="order 1", stratum="clean", sparsity=sparsity)
        for sparsity in (0.1, 0.6)
    ]
    low, high = (f"{line['value']:.2f}" for line in ends)
    assert f"mean t of {low} at the lowest sparsity and {high} at the" in said
    assert "power of 1.50 (kinks frozen: 2.00, 3.00 and 4.00), significantly" in said
    assert (
        "promised in 3 of 3 orders and runs, for no Taylor order contains a kink; that"
        in said
    )
    ranks = (table["statistic"] == "spearman") & (table["stratum"] == "clean")
    sure = table.assign(
        low=table["low"].mask(ranks, -0.1).mask(ranks & (table["of"] == "norm"), 0.1),
        high=table["high"].mask(ranks, 0.9),
    )
    words = "correlated with `norm` in 3 of 3 and with `predicted_error` in 0 of 3 runs"
    assert words in paths.finding(sure)
    # Another run beside it: spans, and more cases.
    lengths = table["statistic"] == "length"
    other = table.assign(run="other", value=table["value"].mask(lengths, 1.3))
    said = paths.finding(pd.concat([table, other]))
    assert "chord is 1.100 to 1.300 at the lowest sparsity and 1.100 to 1.300" in said
    assert "promised in 6 of 6" in said


def test_where_there_is_less_to_say(paths, table):
    slopes = table["statistic"] == "order_slope"
    smooth = table.assign(high=table["high"].mask(slopes, 5))
    assert "promised in 0 of 3 orders and runs; that t" in paths.finding(smooth)
    alone = table[~table["statistic"].isin(["spearman", "order_slope"])]
    assert paths.finding(alone).endswith(
        "What the orders leave is too near rounding to tell its power of t; that t "
        "differs between too few images to be correlated."
    )
    assert paths.row(alone)["`norm`"] == paths.row(alone)["powers of t, network"] == "–"
    only = paths.finding(table[table["sparsity"] == 0.3])
    assert "chord is 1.100, and along it" in only


def test_the_row_is_made_of_the_lines(paths, table):
    cells = paths.row(table)
    assert cells["path over chord"] == "1.100 [1.100, 1.100] → 1.100 [1.100, 1.100]"
    for stratum, words in (("clean", ""), ("degraded", ", degraded")):
        keys = {"statistic": "valid", "of": "order 1", "stratum": stratum}
        lines = [one(table, sparsity=sparsity, **keys) for sparsity in (0.1, 0.6)]
        assert cells[f"t of order 1{words}"] == " → ".join(map(two_places, lines))
    for name, stratum in (("flips", "clean"), ("severity", "all")):
        keys = {"statistic": "spearman", "of": name, "stratum": stratum}
        lines = [one(table, sparsity=sparsity, **keys) for sparsity in (0.1, 0.6)]
        assert cells[f"`{name}`"] == " → ".join(map(two_places, lines))
    ranks = (table["statistic"] == "spearman") & (table["sparsity"] == 0.1)
    assert paths.row(table[~ranks])["`flips`"].endswith(" at 0.3 → 0.6")


def two_places(line):
    return f"{line['value']:.2f} [{line['low']:.2f}, {line['high']:.2f}]"


@pytest.mark.slow
def test_the_sheet_shows_both_ends(paths, toy_faces):
    apply_fn, params, _ = toy_network(np.float32)
    delta = pruning_delta(params, mask_named("global/magnitude")(params, 0.4))
    with paths.plots.theme():
        drawing = paths.sheet(toy_faces, delta)
    jvp = paths.embedding_jvp(apply_fn, params, delta, toy_faces.images)[1]
    moved = np.asarray(drift_of(jvp))
    titles = [ax.get_title() for ax in drawing.figure.axes if ax.get_title()]
    assert len(titles) == 6
    ends = [*np.argsort(moved)[:3], *np.argsort(-moved)[:3]]
    for title, face in zip(titles, ends, strict=True):
        name, _, size = title.split("\n")
        assert name == toy_faces.names[face]
        assert float(size.removeprefix("‖Jδ‖ = ")) == pytest.approx(
            moved[face], rel=1e-2
        )
