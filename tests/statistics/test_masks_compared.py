"""Masks compared on rows made by hand, whose answers are known."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics import auroc, compare_masks, without_each
from prefiqs_jax.statistics.curves import mean_difference
from prefiqs_jax.statistics.separation import separation_table

PEOPLE = 12


def rows_of(mask, levels, residual, *, people=PEOPLE, each=1, noise=0.0, seed=0):
    """Make rows: `levels` sparsity to typical drift, `residual` a function of drift."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    face = rng.uniform(0.7, 1.3, len(who))
    face /= np.exp(np.log(face).mean())
    own = np.random.default_rng([seed, *mask.encode()])
    parts = []
    for sparsity, typical in levels.items():
        drift = typical * face / face.mean()
        wobble = np.exp(noise * own.standard_normal(len(who)))
        parts.append(
            pd.DataFrame(
                {
                    "backbone": "toy",
                    "mask": mask,
                    "image": [f"{i}.png" for i in range(len(who))],
                    "identity": [f"p{i}" for i in who],
                    "sparsity": sparsity,
                    "achieved_sparsity": sparsity,
                    "first_order": drift * own.uniform(0.9, 1.1, len(who)),
                    "drift": drift,
                    "cosine": 0.9,
                    "residual": residual(typical) * wobble * face * drift,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def of(table, mask, statistic="relative_residual", **keys):
    chosen = table[(table["mask"] == mask) & (table["statistic"] == statistic)]
    for key, value in keys.items():
        chosen = chosen[chosen[key] == value]
    (line,) = chosen.to_dict("records")
    return line


# Both masks miss a part in proportion to the drift; "far" misses twice as much, and
# moves embeddings three times as far at every sparsity.
NEAR = {0.1: 0.01, 0.3: 0.03, 0.5: 0.09}
FAR = {0.1: 0.03, 0.3: 0.09, 0.5: 0.27}


def test_drift_confounds_equal_sparsity_and_not_equal_drift():
    rows = pd.concat(
        [
            rows_of("near", NEAR, lambda drift: drift),
            rows_of("far", FAR, lambda drift: 2 * drift),
        ]
    )
    found = compare_masks(rows)
    for sparsity in NEAR:
        line = of(found.differences, "far", sparsity=sparsity)
        assert line["change"] == pytest.approx(6)  # 2 of its own, 3 by its drift
    line = of(found.matched, "far", at="mean_drift")
    assert line["change"] == pytest.approx(2)
    assert (line["lowest"], line["highest"]) == pytest.approx((0.03, 0.09))
    assert line["differs"]
    assert not line["better"]
    assert found.ranked["mask"].tolist() == ["near", "far"]
    assert found.ranked["rank"].tolist() == [1, 2]
    assert found.ranked["residual_ratio"].tolist() == pytest.approx([1, 2])
    # Nothing is known of the norms, so nothing is told at equal norm.
    assert np.isnan(of(found.matched, "far", at="delta_norm_relative")["change"])


def test_equal_norm():
    rows = pd.concat(
        [
            rows_of("near", NEAR, lambda drift: drift),
            rows_of("far", FAR, lambda drift: drift),
        ]
    )
    # δ of "far" is as long as that of "near", so at one length it misses 3 times more.
    norms = {(mask, s): s**2 for mask in ("near", "far") for s in NEAR}
    found = compare_masks(rows, delta_norms=norms, reference="far")
    line = of(found.matched, "near", at="delta_norm_relative")
    assert line["change"] == pytest.approx(1 / 3)
    assert (line["lowest"], line["highest"]) == pytest.approx((0.01, 0.25))
    assert line["better"]
    assert of(found.matched, "near", at="mean_drift")["change"] == pytest.approx(1)
    masks = found.masks.set_index(["mask", "sparsity"])
    assert masks.loc[("far", 0.3), "delta_norm_relative"] == pytest.approx(0.09)
    assert masks.loc[("far", 0.3), "mean_drift"] == pytest.approx(0.09)


def test_a_mask_of_one_sparsity_and_one_beyond_the_reference():
    rows = pd.concat(
        [
            rows_of("near", NEAR, lambda drift: drift),
            rows_of("2:4", {0.5: 0.05}, lambda drift: drift / 2),
            rows_of("wild", {0.1: 0.5, 0.3: 0.9}, lambda drift: drift),
        ]
    )
    found = compare_masks(rows)
    line = of(found.matched, "2:4", at="mean_drift")
    assert line["change"] == pytest.approx(0.5)
    assert line["lowest"] == line["highest"] == pytest.approx(0.05)
    assert np.isnan(of(found.matched, "wild", at="mean_drift")["change"])
    ranked = found.ranked
    assert ranked["mask"].tolist() == ["2:4", "near", "wild"]
    assert ranked["rank"].isna().tolist() == [False, False, True]


def test_the_interval_of_one_difference_is_students():
    levels = {0.5: 0.1}
    rows = pd.concat(
        [
            rows_of("a", levels, lambda d: d, noise=0.3),
            rows_of("b", levels, lambda d: d, noise=0.3),
        ]
    )
    line = of(compare_masks(rows).differences, "b")
    relative = rows["residual"] / rows["drift"]
    logs = np.log(relative.to_numpy()).reshape(2, PEOPLE)
    low, high = stats.t.interval(
        0.95, PEOPLE - 1, (logs[1] - logs[0]).mean(), stats.sem(logs[1] - logs[0])
    )
    # The quantile of the maximum is drawn, 20,000 times.
    ends = np.log([line["low"], line["high"]])
    np.testing.assert_allclose(ends, [low, high], atol=0.02 * (high - low))
    # Unpaired, the faces would count twice, and they vary more than the difference.
    assert high - low < 4 * np.sqrt(logs.var(axis=1, ddof=1).sum() / PEOPLE)


def test_images_of_one_person_count_once():
    levels = {0.5: 0.1}
    few = [rows_of(m, levels, lambda d: d, noise=0.3) for m in ("a", "b")]
    copies = [
        part.assign(image=f"{copy}-" + part["image"])
        for part, copy in itertools.product(few, range(5))
    ]
    one, many = (
        of(compare_masks(pd.concat(parts)).differences, "b") for parts in (few, copies)
    )
    for key in ("change", "low", "high"):
        assert one[key] == pytest.approx(many[key])
    alone = pd.concat(copies).assign(identity=None)
    narrower = of(compare_masks(alone).differences, "b")
    assert narrower["high"] - narrower["low"] < 0.6 * (one["high"] - one["low"])


def test_more_masks_make_wider_intervals():
    levels = {0.5: 0.1}
    parts = [rows_of(f"m{i}", levels, lambda d: d, noise=0.3) for i in range(8)]
    two, eight = (
        of(compare_masks(pd.concat(some)).differences, "m1")
        for some in (parts[:2], parts)
    )
    assert two["change"] == pytest.approx(eight["change"])
    wider = np.log(eight["high"] / eight["low"]) / np.log(two["high"] / two["low"])
    t = stats.t.ppf(1 - 0.025 / 7, PEOPLE - 1) / stats.t.ppf(0.975, PEOPLE - 1)
    assert 1.1 < wider < t  # less than Bonferroni's for seven


def test_rows_below_rounding_are_left_out():
    rows = pd.concat(
        [
            rows_of("a", {0.0: 1e-7, 0.5: 0.1}, lambda d: d),
            rows_of("b", {0.0: 1e-7, 0.5: 0.1}, lambda d: 2 * d),
        ]
    )
    found = compare_masks(rows)
    masks = found.masks.set_index(["mask", "sparsity"])
    assert masks.loc[("a", 0.0), ["images", "below_rounding"]].tolist() == [0, PEOPLE]
    assert np.isnan(masks.loc[("a", 0.0), "mean_drift"])
    assert np.isnan(of(found.differences, "b", sparsity=0.0)["change"])
    assert of(found.differences, "b", sparsity=0.5)["change"] == pytest.approx(2)
    assert of(found.matched, "b", at="mean_drift")["change"] == pytest.approx(2)
    # One image that only one of the masks moves takes no part in either.
    image = rows["image"].iloc[3]
    still = (rows["image"] == image) & (rows["mask"] == "b")
    odd = rows.copy()
    odd.loc[still, ["first_order", "drift", "residual"]] = 1e-8
    odd.loc[(odd["image"] == image) & (odd["mask"] == "a"), "residual"] *= 100
    line = of(compare_masks(odd).differences, "b", sparsity=0.5)
    assert line["change"] == pytest.approx(2)


def test_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, 30).astype(float)
    degraded = rng.random(30) < 0.4
    weights = np.vstack([np.ones(30), rng.integers(0, 4, (5, 30))])
    for weight, found in zip(weights, auroc(values, degraded, weights), strict=True):
        sample = np.repeat(np.arange(30), weight.astype(int))
        bad, good = values[sample][degraded[sample]], values[sample][~degraded[sample]]
        u = stats.mannwhitneyu(bad, good).statistic
        assert found == pytest.approx(u / (len(bad) * len(good)))
    assert np.isnan(auroc(values, np.ones(30, bool), weights)).all()


def test_separation_by_severity():
    people, severities = 10, (0.0, 0.2, 0.5, 0.9)
    rng = np.random.default_rng(1)
    severity = np.tile(severities, people)
    clusters = np.repeat(np.arange(people), len(severities))
    drift = 0.1 + 0.1 * severity + 0.06 * rng.standard_normal(len(severity))
    table = pd.DataFrame(
        {"drift": drift, "below_rounding": False, "severity": severity}
    )
    found = separation_table(table, clusters).set_index("severity")
    assert found["degraded"].to_dict() == {
        "all": 30,
        "to 1/3": 10,
        "1/3 to 2/3": 10,
        "above 2/3": 10,
    }
    assert found["clean"].tolist() == [10] * 4
    u = stats.mannwhitneyu(drift[severity == 0.5], drift[severity == 0]).statistic
    assert found.loc["1/3 to 2/3", "auroc"] == pytest.approx(u / 100)
    # The interval on the logit scale, from scratch.
    chosen = (severity == 0) | (severity == 0.5)
    every = [np.ones((1, 20)), without_each(clusters[chosen], 0, people)]
    areas = auroc(drift[chosen], severity[chosen] > 0, np.vstack(every))
    logit = np.log(areas / (1 - areas))
    error = np.sqrt((people - 1) / people * ((logit[1:] - logit[1:].mean()) ** 2).sum())
    ends = logit[0] + stats.t.ppf([0.025, 0.975], people - 1) * error
    assert found.loc["1/3 to 2/3", ["low", "high"]].tolist() == pytest.approx(
        (1 / (1 + np.exp(-ends))).tolist()
    )
    # Rounding orders nothing: all of it is one tie.
    still = table.assign(below_rounding=severity < 0.9)
    found = separation_table(still, clusters).set_index("severity")
    assert np.isnan(found.loc["to 1/3", "auroc"])
    assert found.loc["above 2/3", "auroc"] == 1
    assert np.isnan(found.loc["above 2/3", "low"])


def test_separation_in_the_comparison():
    parts = []
    for mask, slope in (("flat", 0.0), ("steep", 1.0)):
        rows = rows_of(mask, {0.5: 0.1}, lambda d: d, each=4)
        severity = np.tile([0.0, 0.0, 0.5, 1.0], PEOPLE)
        rows = rows.assign(severity=severity, drift=rows["drift"] + slope * severity)
        parts.append(rows)
    found = compare_masks(pd.concat(parts))
    masks = found.masks.set_index("mask")
    assert masks.loc["steep", "separation"] == 1
    line = of(found.differences, "steep", "separation")
    assert line["change"] == pytest.approx(1 - masks.loc["flat", "separation"])
    assert line["better"]
    assert set(found.separation["severity"]) == {"all", "1/3 to 2/3", "above 2/3"}


def test_mean_difference_against_a_fine_grid():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y, u, v = (rng.standard_normal(n) for n in (5, 5, 4, 4))
        x[0], u[0] = u[1], x[1]  # so that they have a range in common
        found, low, high = mean_difference(x, y, u, v)
        grid = np.linspace(low, high, 200_001)
        one = np.interp(grid, np.sort(x), y[np.argsort(x)])
        other = np.interp(grid, np.sort(u), v[np.argsort(u)])
        assert found == pytest.approx((one - other).mean(), abs=1e-4)
        back, *_ = mean_difference(u, v, x, y)
        assert back == pytest.approx(-found)
    apart = mean_difference(np.arange(2.0), np.zeros(2), np.arange(3.0, 5), np.zeros(2))
    assert np.isnan(apart).all()
    assert np.isnan(mean_difference(np.zeros(0), np.zeros(0), *np.eye(2))).all()


@pytest.mark.slow
def test_intervals_at_equal_drift_cover():
    """Masks that are alike differ by chance only; of 5 intervals together 95 % hold."""
    levels, inside, runs = {0.1: 0.02, 0.3: 0.05, 0.5: 0.12}, 0, 100
    for seed in range(runs):
        # Other faces and other noise in every run, and drifts of their own.
        parts = [
            rows_of(f"m{i}", levels, lambda d: d, noise=0.4, seed=seed, people=20)
            for i in range(6)
        ]
        matched = compare_masks(pd.concat(parts)).matched
        chosen = matched[
            (matched["at"] == "mean_drift")
            & (matched["statistic"] == "relative_residual")
        ]
        inside += not any(chosen["differs"].tolist())
    # Of 100 runs at 95 %, fewer than 89 happen once in 100.
    assert inside >= 89


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows[rows["mask"] == "a"], "two masks or more, and here is 1: a"),
        (lambda rows: rows.iloc[:0], "two masks or more, and here is 0"),
        (
            lambda rows: rows.assign(backbone=["x", *["y"] * (len(rows) - 1)]),
            "of several networks, x, y",
        ),
        (lambda rows: rows.iloc[1:], r"image 0\.png has rows of only one of a and b"),
        (lambda rows: pd.concat([rows, rows]), "has two rows at sparsity 0.5"),
        (lambda rows: rows.assign(drift=np.nan), "not finite"),
    ],
)
def test_rows_that_cannot_be_compared(change, told):
    rows = pd.concat([rows_of(m, {0.5: 0.1}, lambda d: d) for m in ("a", "b")])
    with pytest.raises(InputError, match=told):
        compare_masks(change(rows.reset_index(drop=True)))


def test_a_reference_that_is_not_there():
    rows = pd.concat([rows_of(m, {0.5: 0.1}, lambda d: d) for m in ("a", "b")])
    with pytest.raises(InputError, match="reference c is none of the masks: a, b"):
        compare_masks(rows, reference="c")


def test_two_people_have_no_interval():
    rows = pd.concat(
        [rows_of(m, {0.5: 0.1}, lambda d: d, people=2, each=6) for m in ("a", "b")]
    )
    found = compare_masks(rows)
    assert np.isnan(found.differences["low"]).all()
    assert any("2 people: no interval" in note for note in found.notes)
