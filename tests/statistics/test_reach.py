"""Sparsity up to which the first order holds, and the interval of a quantile."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics import quantile_interval, reach


@pytest.mark.parametrize(("count", "fraction"), [(100, 0.05), (200, 0.05), (61, 0.5)])
def test_ends_are_exact_order_statistics_of_independent_images(count, fraction):
    value, low, high = quantile_interval(
        np.arange(1.0 * count), np.arange(count), fraction
    )
    # The widest pair of ranks, from 1, that both miss at most 2.5 %, by counting.
    ranks = np.arange(1, count + 1)
    at_least = stats.binom.sf(ranks - 1, count, fraction)  # P(X_(k) <= quantile)
    assert low == ranks[at_least >= 0.975][-1] - 1
    assert high == ranks[at_least <= 0.025][0] - 1
    assert value == int(fraction * count)


def test_few_images_leave_the_low_end_open():
    # 0.95^71 = 0.026, of not one image below the 5 % quantile.
    assert quantile_interval(np.arange(71.0), np.arange(71), 0.05)[1] == -np.inf
    assert quantile_interval(np.arange(72.0), np.arange(72), 0.05)[1] == 0


def test_intervals_by_person_cover():
    rng, people, hits = np.random.default_rng(0), np.arange(200) % 20, []
    truth = stats.norm.ppf(0.05)
    for _ in range(300):
        values = 0.55 * rng.standard_normal(20)[people]
        values += np.sqrt(1 - 0.55**2) * rng.standard_normal(200)
        _, low, high = quantile_interval(values, people, 0.05)
        hits.append(low <= truth <= high)
    # 0.92 is 2.4 standard errors below 0.95.
    assert np.mean(hits) >= 0.92


def _rows(slopes, people=None, sparsities=(0.1, 0.2, 0.4)):
    """Rows whose relative residual is slope · sparsity: it is 0.1 at 0.1 / slope."""
    return pd.DataFrame(
        [
            {
                "image": f"{i:03d}",
                "identity": None if people is None else f"p{i % people}",
                "sparsity": s,
                "first_order": 0.5,
                "drift": 0.5,
                "residual": 0.5 * slope * s,
            }
            for i, slope in enumerate(slopes)
            for s in sparsities
        ]
    )


def test_reach_is_where_the_worst_but_five_in_a_hundred_cross():
    slopes = np.random.default_rng(0).permutation(np.linspace(0.3, 0.9, 100))
    table = reach(_rows(slopes, 20), shares=[0.95, 0.5])
    crossing = np.sort(0.1 / slopes)
    np.testing.assert_allclose(table["value"], [crossing[5], crossing[50]])
    assert np.all(table["low"] < table["value"])
    assert np.all(table["value"] < table["high"])
    assert set(table["resampled_by"]) == {"identity"}
    assert set(table["clusters"]) == {20}
    # By the definition: as many images are within the tolerance there.
    within = np.mean(slopes * table["value"].to_numpy()[:, None] <= 0.1 + 1e-12, axis=1)
    assert (within >= [0.95, 0.5]).all()


def test_nothing_is_extrapolated():
    steep, flat = reach(_rows([5.0] * 9)), reach(_rows([0.01] * 9))
    assert np.all(steep["value"] == -np.inf)
    assert np.all(flat["value"] == np.inf)
    assert set(steep["lowest"]) == {0.1}
    assert set(flat["highest"]) == {0.4}


def test_a_curve_that_comes_down_again_has_crossed():
    rows = _rows([0.6] * 4)
    rows.loc[rows["sparsity"] == 0.4, "residual"] = 0.0
    np.testing.assert_allclose(reach(rows)["value"], 0.1 / 0.6)


def test_reach_in_strata_follows_the_pooled_one():
    rows = _rows(np.r_[np.linspace(0.3, 0.5, 40), np.linspace(0.6, 0.9, 40)], 10)
    rows["severity"] = np.where(rows["image"] < "040", 0.0, 0.5)
    table = reach(rows, ["severity"], shares=[0.95])
    assert table["stratum"].tolist() == ["all", "0", "1/3 to 2/3"]
    assert table["images"].tolist() == [80, 40, 40]
    pooled, clean, degraded = table["value"]
    assert degraded <= pooled < clean


def test_degraded_copies_go_with_their_original():
    rows = _rows(np.linspace(0.3, 0.9, 40))
    copies = rows.assign(copy_of=rows["image"].str[:2])
    table = reach(copies)
    assert set(table["clusters"]) == {4}
    assert set(table["resampled_by"]) == {"image"}


def test_images_that_did_not_move_are_left_out():
    rows = _rows([0.5] * 5)
    rows.loc[rows["image"] == "002", ["first_order", "drift", "residual"]] = 1e-8
    assert set(reach(rows)["images"]) == {4}
    nothing = reach(rows.assign(first_order=0.0, drift=0.0, residual=0.0))
    assert np.all(nothing["value"].isna())
    assert set(nothing["images"]) == {0}


@pytest.mark.parametrize("bad", [{"tolerance": 0.0}, {"shares": [1.0]}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(InputError, match="give a tolerance above 0 and shares"):
        reach(_rows([0.5]), **bad)
