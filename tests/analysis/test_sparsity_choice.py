"""The choice of a sparsity on half of the people: a best one, noise, and by hand."""

import numpy as np
import pandas as pd
import pytest
from simulated_run import one

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import all_pairs, edc, pair_quality, pauc
from prefiqs_jax.statistics import jackknife_interval

SPARSITIES = (0.1, 0.3, 0.4)


@pytest.fixture(scope="module")
def ours(script):
    return script("sparsity_choice")


@pytest.fixture
def few(ours, monkeypatch):
    """Split less often."""
    drawn = ours.halves
    monkeypatch.setattr(ours, "halves", lambda people: drawn(people, 3))
    return drawn(10, 3)


def scored(verified, quality):
    return verified._replace(scores={"mine": quality})


def of_noise(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return {f"prefiqs/{s:g}": rng.random(count) for s in SPARSITIES}


def test_the_best_by_construction_is_chosen(ours, few, verified):
    each, noise, _ = verified
    table = ours.measure(scored(each, of_noise() | {"prefiqs/0.3": -noise}))
    best = one(table, statistic="share", sparsity=0.3)
    assert best["value"] > 0.7
    assert table[table["statistic"] == "share"]["value"].sum() == pytest.approx(1)
    assert one(table, statistic="hindsight")["sparsity"] == 0.3
    gain = one(table, statistic="over_paper")
    assert gain["value"] < 0
    assert gain["low"] < gain["value"] < gain["high"]
    said = ours.finding(table)
    assert f"most often (0.3) is chosen in {best['value']:.0%} of the splits" in said
    assert f"; pAUC × 10³ differs by {1e3 * gain['value']:.2f}. Held" in said
    rival = table.assign(
        high=table["high"].mask(table["statistic"] == "over_paper", -1)
    )
    words = "significantly better than 0.4 on the other half in 2 and worse in 0 of 2"
    assert words in ours.finding(pd.concat([rival, rival.assign(run="other")]))
    rival = table.assign(low=table["low"].mask(table["statistic"] == "optimism", 1))
    optimism = 1e3 * one(table, statistic="optimism")["value"]
    words = f"is {optimism:.2f} above that in sample (significantly in 1 of 1)"
    assert words in ours.finding(rival)
    cells = ours.row(table)
    ends = [1e3 * gain[end] for end in ("value", "low", "high")]
    assert cells["held out − 0.4"] == "{:+.2f} [{:+.2f}, {:+.2f}]".format(*ends)
    assert cells["chosen most often"].startswith(f"0.3 ({best['value']:.0%}), ")
    assert cells["chosen most often"].endswith("%) of 3")
    assert (cells["quality"], cells["best"]) == ("PreFIQs", "0.3")


@pytest.mark.slow
def test_of_noise_the_choice_flatters_itself(ours, few, verified):
    each, _, _ = verified
    for seed in range(2):
        table = ours.measure(scored(each, of_noise(seed=seed)))
        value = {
            name: one(table, statistic=name)["value"]
            for name in ("in_sample", "held_out", "optimism", "over_hindsight")
        }
        assert value["optimism"] > 0
        assert value["optimism"] == pytest.approx(
            value["held_out"] - value["in_sample"]
        )
        assert value["over_hindsight"] >= -1e-12


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tie in quality")
def test_by_hand(ours, few, verified):
    each, _, embeddings = verified
    quality = of_noise()
    table = ours.measure(scored(each, quality))
    who = np.repeat(np.arange(10), 4)

    def area(name, people):
        own = np.isin(who, people)
        pairs = all_pairs(embeddings[own], who[own])
        values = pair_quality(quality[name][own], pairs)
        curve = edc(pairs.similarity, pairs.mated, values, fmr=0.05, protocol="crfiqa")
        return pauc(curve, max_discard=0.6)

    def without(left_out):
        inside, outside, paper = [], [], []
        for half in few:
            for own in (half, ~half):
                here, there = (
                    [p for p in np.flatnonzero(side) if p != left_out]
                    for side in (own, ~own)
                )
                areas = {name: area(name, here) for name in quality}
                chosen = min(areas, key=areas.__getitem__)
                inside.append(areas[chosen])
                outside.append(area(chosen, there))
                paper.append(area("prefiqs/0.4", there))
        return np.mean(inside), np.mean(outside), np.mean(paper)

    inside, outside, paper = without(None)
    for name, value in (
        ("in_sample", inside),
        ("held_out", outside),
        ("optimism", outside - inside),
        ("over_paper", outside - paper),
    ):
        assert one(table, statistic=name)["value"] == pytest.approx(value)
    areas = ours.half_areas(each, quality)
    found = ours.choices(areas)
    np.testing.assert_allclose(
        [found.in_sample[4], found.held_out[4], found.mean[2, 4]], without(3)
    )


@pytest.mark.slow
@pytest.mark.parametrize("people", [10, 38])
def test_how_often_intervals_hold_the_mean(ours, people):
    """Make areas up as means over people; nine sparsities are nearly as good."""
    rng = np.random.default_rng(0)

    def simulated():
        errors = rng.exponential(size=(people, 1))
        errors = errors * np.exp(0.16 * rng.normal(size=(people, 9)))
        areas = []
        for half in ours.halves(people, 20, seed=int(rng.integers(10**9))):
            both = []
            for own in (half, ~half):
                total = errors[own].sum(axis=0)
                area = np.repeat(total[:, None] / own.sum(), 1 + people, axis=1)
                area[:, 1:][:, own] = ((total - errors[own]) / (own.sum() - 1)).T
                both.append(area)
            areas.append(tuple(both))
        found = ours.choices(areas)
        differences = [found.in_sample, found.mean[3], found.mean.min(axis=0)]
        return found.held_out - np.array(differences)

    found = np.array([simulated() for _ in range(200)])
    low, high = jackknife_interval(found[..., 0], np.moveaxis(found[..., 1:], -1, 0))
    truth = found[..., 0].mean(axis=0)
    assert truth[0] > 0  # optimism
    held = ((low <= truth) & (truth <= high)).mean(axis=0)
    assert (held >= 0.85).all()


def test_equal_sparsities_are_chosen_by_lot(ours, few, verified):
    each, noise, _ = verified
    table = ours.measure(
        scored(each, {f"first-order/{s:g}": -noise for s in (0.1, 0.2)})
    )
    assert set(table["of"]) == {"first-order"}
    shares = table[table["statistic"] == "share"]["value"]
    np.testing.assert_allclose(shares, 0.5)
    assert one(table, statistic="over_hindsight")["value"] == pytest.approx(0)
    assert ours.finding(table).startswith("No choice is held against 0.4, which is not")
    assert ours.row(table)["held out − 0.4"] == "–"


def test_too_few_people(ours, verified):
    each, _, _ = verified
    rows = each.measured.rows.assign(identity=np.repeat(list("abcde"), 8))
    few = scored(each, of_noise())._replace(measured=each.measured._replace(rows=rows))
    with pytest.raises(InputError, match="5 people; it takes 6"):
        ours.measure(few)


@pytest.mark.slow
def test_from_an_evaluation_to_the_finding(ours, few, toy_evaluation, tmp_path, capsys):
    out, page = tmp_path / "out", tmp_path / "found.md"
    words = [str(toy_evaluation), "--out", str(out), "--findings", str(page)]
    assert ours.main(words) == 0
    table = pd.read_csv(out / "sparsity_choice.csv")
    assert set(table["of"]) == {"prefiqs", "first-order"}
    assert set(table["run"]) == {"toys/faces/toy0", "toys/faces/toy1"}
    assert ours.finding(table) in page.read_text()
    assert (
        page.read_text().count("\n| toys/faces/toy0, global/magnitude | 48 of 6 ") == 2
    )
    assert (out / "sparsity_choice.png").stat().st_size > 0
    assert ours.main([str(tmp_path), "--out", str(out)]) == 2
    assert "is no finished evaluation" in capsys.readouterr().err
