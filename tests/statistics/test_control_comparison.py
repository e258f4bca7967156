"""The pruning direction beside its controls, on rows made by hand."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics import compare_with_controls, jackknife_interval

PEOPLE, EACH = 12, 3
WHO = np.repeat(np.arange(PEOPLE), EACH)
COLUMNS = ("first_order", "drift", "cosine", "residual")


def rows_of(rng, factor=1.0, sparsity=0.3, who=WHO, noise=0.3, **more):
    """Draw rows along one direction: faces differ, and a direction adds its own."""
    face = np.random.default_rng(9).uniform(0.7, 1.3, len(who))
    drift = 0.1 * factor * face * np.exp(noise * rng.standard_normal(len(who)))
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(len(who))],
            "identity": [f"p{i}" for i in who],
            "sparsity": sparsity,
            "first_order": drift * rng.uniform(0.9, 1.1, len(who)),
            "drift": drift,
            "cosine": rng.uniform(0.9, 1.0, len(who)),
            "residual": 0.2 * drift,
        }
    ).assign(**more)


def tables(seed=0, factor=1.0, kinds=("gaussian", "signs"), replicates=4, **options):
    rng = np.random.default_rng(seed)
    rows = rows_of(rng, factor, **options)
    controls = [
        rows_of(rng, control=kind, replicate=number, **options)
        for kind in kinds
        for number in range(replicates)
    ]
    return rows, pd.concat(controls, ignore_index=True)


def of(table, **keys):
    for key, value in keys.items():
        table = table[table[key] == value]
    (line,) = table.to_dict("records")
    return line


def by_replicate(controls, kind, quantity):
    """Give a quantity as (replicates, images), in the order of `rows_of`."""
    own = controls["control"] == kind
    return controls.loc[own, quantity].to_numpy(float).reshape(-1, len(WHO))


def rank_correlation(a, b):
    return np.corrcoef(stats.rankdata(a), stats.rankdata(b))[0, 1]


def test_means_by_hand():
    rows, controls = tables(factor=1.5)
    found = compare_with_controls(rows, controls).means
    assert len(found) == 2 * 5
    for quantity in COLUMNS:
        line = of(found, control="signs", quantity=quantity)
        each = by_replicate(controls, "signs", quantity).mean(axis=1)
        assert line["observed"] == pytest.approx(rows[quantity].mean())
        assert line["control_mean"] == pytest.approx(each.mean())
        assert (line["lowest"], line["highest"]) == pytest.approx(
            (each.min(), each.max())
        )
        change = line["observed"] - line["control_mean"]
        if quantity != "cosine":
            change = line["observed"] / line["control_mean"]
        assert line["change"] == pytest.approx(change)
        assert (line["replicates"], line["images"]) == (4, 36)


def test_relative_residual_is_of_each_image():
    rows, controls = tables()
    line = of(
        compare_with_controls(rows, controls).means,
        control="signs",
        quantity="relative_residual",
    )
    assert line["observed"] == pytest.approx(0.2)  # of every image
    turned = rows.assign(residual=rows["drift"] ** 2)
    line = of(
        compare_with_controls(turned, controls).means,
        control="signs",
        quantity="relative_residual",
    )
    assert line["change"] == pytest.approx(rows["drift"].mean() / 0.2)
    assert line["differs"]


def test_ranks_by_hand():
    rows, controls = tables()
    found = compare_with_controls(rows, controls).ranks
    drifts = by_replicate(controls, "gaussian", "drift")
    between = [rank_correlation(a, b) for a, b in combinations(drifts, 2)]
    with_pruning = [rank_correlation(rows["drift"], a) for a in drifts]
    line = of(found, control="gaussian", pair="pruning, control")
    assert line["spearman"] == pytest.approx(np.mean(with_pruning))
    assert line["lowest"] == pytest.approx(min(with_pruning))
    assert line["excess"] == pytest.approx(np.mean(with_pruning) - np.mean(between))
    assert line["low"] < line["spearman"] < line["high"]
    line = of(found, control="gaussian", pair="control, control")
    assert line["spearman"] == pytest.approx(np.mean(between))
    assert line["highest"] == pytest.approx(max(between))
    line = of(found, control="gaussian", pair="pruning, mean of controls")
    mean = rank_correlation(rows["drift"], drifts.mean(0))
    assert line["spearman"] == pytest.approx(mean)
    assert line["spearman"] > np.mean(with_pruning)  # an average is steadier


def test_one_interval_is_students():
    rows, controls = tables(kinds=("signs",), replicates=1)
    line = of(compare_with_controls(rows, controls).means, quantity="drift")
    ours, theirs = rows["drift"].to_numpy(), controls["drift"].to_numpy()
    without = np.array(
        [np.log(ours[p != WHO].mean() / theirs[p != WHO].mean()) for p in range(PEOPLE)]
    )
    ends = jackknife_interval(np.log(line["change"]), without)
    # The quantile is that of 20,000 draws.
    np.testing.assert_allclose(
        np.log([line["low"], line["high"]]), ends, rtol=0.05, atol=2e-3
    )


def test_a_larger_direction_is_found_and_an_equal_one_is_not():
    larger = compare_with_controls(*tables(factor=1.5)).means
    equal = compare_with_controls(*tables(seed=1))
    for control in ("gaussian", "signs"):
        line = of(larger, control=control, quantity="drift")
        assert line["differs"]
        assert line["low"] > 1
        assert line["observed"] > line["highest"]
        assert not of(equal.means, control=control, quantity="drift")["differs"]
        pair = of(equal.ranks, control=control, pair="pruning, control")
        assert not pair["differs"]


def test_a_direction_that_ranks_otherwise_is_found():
    rows, controls = tables(noise=0.05)
    turned = rows.assign(drift=0.2 - rows["drift"])
    line = of(
        compare_with_controls(turned, controls).ranks,
        control="signs",
        pair="pruning, control",
    )
    assert line["differs"]
    assert line["excess_high"] < -1  # from nearly 1 to nearly -1


def test_more_comparisons_widen_the_intervals():
    rows, controls = tables(kinds=("a", "b", "c", "d", "e"))
    one = compare_with_controls(rows, controls.loc[controls["control"] == "a"]).means
    many = compare_with_controls(rows, controls).means
    widths = [
        np.log(line["high"] / line["low"])
        for line in (of(table, control="a", quantity="drift") for table in (one, many))
    ]
    assert widths[1] > 1.1 * widths[0]


def test_order_and_sparsities():
    parts = [tables(seed, sparsity=s) for seed, s in enumerate((0.1, 0.5))]
    rows, controls = (
        pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True)
    )
    found = compare_with_controls(rows, controls)
    assert found.means["sparsity"].unique().tolist() == [0.1, 0.5]
    mixed = compare_with_controls(
        rows.sample(frac=1, random_state=1),
        controls.sample(frac=1, random_state=2).sort_values("control", kind="stable"),
    )
    for ours, theirs in zip(found[:2], mixed[:2], strict=True):
        pd.testing.assert_frame_equal(ours, theirs)
    # A sparsity without controls is left out.
    some = compare_with_controls(rows, controls.loc[controls["sparsity"] == 0.5])
    assert some.means["sparsity"].unique().tolist() == [0.5]


def test_images_that_moved_by_rounding_are_left_out():
    rows, controls = tables()
    still = rows["image"] == "5.png"
    rows.loc[still, ["drift", "first_order"]] = 1e-7
    found = compare_with_controls(rows, controls)
    line = of(found.means, control="signs", quantity="drift")
    assert line["images"] == 35
    assert line["observed"] == pytest.approx(rows.loc[~still, "drift"].mean())


def test_one_replicate_and_few_people():
    who = np.array([0, 0, 0, 1, 1, 1])
    found = compare_with_controls(*tables(replicates=1, who=who))
    assert np.isnan(found.means[["low", "high"]]).all(axis=None)
    assert not any(found.means["differs"])
    line = of(found.ranks, control="signs", pair="control, control")
    assert np.isnan([line["spearman"], line["lowest"], line["low"]]).all()
    assert found.notes == ["2 people: no interval, it takes 3."]


@pytest.mark.slow
def test_intervals_cover_together():
    """Of 100 samples of people, whose directions are all alike, 5 % are missed."""
    missed = np.zeros(2)
    for seed in range(100):
        means, ranks, _ = compare_with_controls(*tables(100 + seed, noise=0.2))
        drift = means.loc[means["quantity"] == "drift"]
        missed += [any(drift["differs"]), any(ranks["differs"])]
    assert (stats.binom.cdf(missed, 100, 0.05) < 0.9999).all()
    assert (missed > 0).all()


def change_image(table):
    return table.assign(image=table["image"].replace("3.png", "other.png"))


@pytest.mark.parametrize(
    ("rows", "controls", "words"),
    [
        (lambda t: t[:0], lambda t: t, "there are no rows;"),
        (lambda t: t, lambda t: t[:0], "there are no rows of controls"),
        (lambda t: pd.concat([t, t[:1]]), lambda t: t, "two rows of image 0.png"),
        (lambda t: t, lambda t: pd.concat([t, t[-1:]]), "two rows of control signs"),
        (lambda t: t, change_image, r"image 3\.png at sparsity 0\.3 has no row"),
        (lambda t: t, lambda t: t[:-1], r"image 35\.png at sparsity 0\.3 has no row"),
        (lambda t: t, lambda t: t.assign(sparsity=0.4), "no sparsity in common"),
        (
            lambda t: t.assign(mask=["a"] * 18 + ["b"] * 18),
            lambda t: t,
            "several: a, b; give one mask",
        ),
        (
            lambda t: t,
            lambda t: t.assign(drift=t["drift"].where(t["image"] != "7.png")),
            r"image 7\.png at sparsity 0\.3 has a drift, .* not finite",
        ),
    ],
)
def test_refusals(rows, controls, words):
    made = tables()
    with pytest.raises(InputError, match=words):
        compare_with_controls(rows(made[0]), controls(made[1]))
