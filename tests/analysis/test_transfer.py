"""Scores of another network: areas, differences, ranks by hand; and to the end."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_run import one

from prefiqs_jax.errors import InputError


@pytest.fixture(scope="module")
def ours(script):
    return script("transfer")


@pytest.fixture(scope="module")
def crossed(ours, verified):
    each, noise, _ = verified
    rng = np.random.default_rng(4)
    mine = {
        "prefiqs/0.4": -noise,
        "first-order/0.4": -noise + 0.1 * rng.random(40),
        "norm": rng.random(40),
        "random": rng.random(40),
        "mine-only": noise,
    }
    theirs = {name: rng.random(40) for name in mine if name != "mine-only"}
    theirs |= {"prefiqs/0.4": noise, "random": mine["random"]}  # the worst first
    scores = {"mine": mine, "theirs": theirs}
    return ours.Crossed(each._replace(scores=scores), "theirs")


@pytest.fixture(scope="module")
def table(ours, crossed):
    return ours.measure(crossed)


def test_areas_and_their_differences(table, crossed):
    verified = crossed.verified
    value = {}
    for kind, scorer in (("same", "mine"), ("cross", "theirs")):
        for name, scores in verified.scores[scorer].items():
            (area,) = verified.areas({name: scores})
            method = name.partition("/")[0]
            value[kind, method] = area[0]
            if name != "mine-only":
                line = one(table, statistic=kind, of=method)
                assert line["value"] == pytest.approx(area[0])
                assert line["low"] < line["value"] < line["high"]
    loss = one(table, statistic="loss", of="prefiqs")
    expected = value["cross", "prefiqs"] - value["same", "prefiqs"]
    assert loss["value"] == pytest.approx(expected)
    assert loss["low"] > 0
    gains = []
    for kind in ("same", "cross"):
        gains.append(value[kind, "prefiqs"] - value[kind, "norm"])
        line = one(table, statistic=f"advantage_{kind}", of="norm")
        assert line["value"] == pytest.approx(gains[-1])
    change = one(table, statistic="advantage_change", of="norm")
    assert change["value"] == pytest.approx(gains[1] - gains[0])
    assert "mine-only" not in set(table["of"])
    assert "random" not in set(table[table["statistic"] == "loss"]["of"])


def test_how_alike_the_networks_rank(table, crossed):
    mine, theirs = (crossed.verified.scores[name] for name in ("mine", "theirs"))
    for name, of in (("norm", "norm"), ("first-order/0.4", "first-order")):
        line = one(table, statistic="spearman", of=of, stratum="all")
        assert line["value"] == pytest.approx(
            stats.spearmanr(mine[name], theirs[name])[0]
        )


def test_the_finding(ours, table):
    said = ours.finding(table)
    loss = one(table, statistic="loss", of="prefiqs")
    words = (
        f"changes pAUC × 10³ by {1e3 * loss['value']:+.2f}: significantly worse in 1"
    )
    assert words in said
    assert said.startswith("At sparsity 0.4 PreFIQs of another network instead of")
    ranks = one(table, statistic="spearman", of="prefiqs", stratum="all")["value"]
    assert said.endswith(f"rank the images alike to Spearman {ranks:.2f}.")
    for kind, low, high, words in (
        ("same", -2, -1, "norm in 2 and 0 (behind in 0 and"),
        ("same", 1, 2, "norm in 0 and 0 (behind in 2 and"),
        ("cross", 1, 2, "2)"),
    ):
        own = table["statistic"] == f"advantage_{kind}"
        turned = table.assign(
            low=table["low"].mask(own, low), high=table["high"].mask(own, high)
        )
        assert words in ours.finding(pd.concat([turned, turned.assign(run="other")]))
    alone = table[~table["statistic"].str.startswith("advantage")]
    alone = alone[alone["of"] == "prefiqs"]
    assert "The two networks' PreFIQs rank" in ours.finding(alone)


def test_the_rows(ours, script, table):
    rows = script("in_words").rows_of(table, *ours.ANALYSIS.by)
    cells = {ours.row(part)["quality"]: ours.row(part) for part in rows}
    assert set(cells) == {"PreFIQs at 0.4", "first order at 0.4", "norm", "random"}
    for statistic, (heading, form) in ours.CELLS.items():
        line = one(table, statistic=statistic, of="norm")
        ends = [1e3 * line[end] for end in ("value", "low", "high")]
        told = f"{{:{form}}} [{{:{form}}}, {{:{form}}}]".format(*ends)
        assert cells["norm"][heading] == told
    assert cells["PreFIQs at 0.4"]["PreFIQs − it, own"] == "–"
    assert cells["random"]["Spearman"] == cells["random"]["other's − own"] == "–"
    line = one(table, statistic="spearman", of="norm", stratum="all")
    assert cells["norm"]["Spearman"].startswith(f"{line['value']:.2f} [")
    assert ours.front(rows[0]) == {
        "run": "made/up by theirs (mine), global/magnitude",
        "images": "40 of 10 people",
        "false non-matches": "24 (40%) at FMR 0.05",
        "discarded": "up to 60%",
    }


@pytest.mark.slow
def test_from_an_evaluation_to_the_finding(ours, toy_evaluation, tmp_path):
    out = tmp_path / "out"
    assert ours.main([str(toy_evaluation), "--out", str(out)]) == 0
    table = pd.read_csv(out / "transfer.csv")
    assert set(table["run"]) == {
        "toys/faces/toy0 by toy1",
        "toys/faces/toy1 by toy0",
    }
    assert set(table["stratum"]) == {"all", "clean", "degraded"}
    areas = pd.read_csv(toy_evaluation / "tables/areas.csv")
    line = one(table, backbone="toy1", statistic="cross", of="norm")
    known = one(areas, verifier="toy1", scorer="toy0", fmr=line["fmr"], quality="norm")
    assert line["value"] == pytest.approx(known["pauc"], rel=1e-5)


def test_one_network_alone(ours, verified, monkeypatch, tmp_path):
    each, noise, _ = verified
    alone = each._replace(scores={"mine": {"prefiqs/0.4": noise}})
    monkeypatch.setattr(ours, "open_evaluations", lambda *_: [alone])
    with pytest.raises(InputError, match="--each-scores"):
        ours.open_crossed([tmp_path], ())
