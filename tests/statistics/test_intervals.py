"""Intervals over few people: closed forms, groups, and how often they cover."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prefiqs_jax.statistics import (
    deletion_groups,
    jackknife_interval,
    median_interval,
    summarise,
    without_each,
)

ROOT = Path(__file__).parents[2]


def test_jackknife_of_the_mean_is_students_interval():
    values = np.random.default_rng(0).gamma(2, size=12)
    without = without_each(np.arange(12), 0, 12) @ values / 11
    want = stats.t.interval(0.9, 11, values.mean(), stats.sem(values))
    found = jackknife_interval(values.mean(), without, level=0.9)
    np.testing.assert_allclose(found, want, rtol=1e-12)


def test_median_of_single_images_is_near_the_binomial_interval():
    values = np.sort(np.random.default_rng(1).standard_normal(101))
    low, high = median_interval(values, np.arange(101))
    places = stats.binom.ppf([0.025, 0.975], 101, 0.5)
    np.testing.assert_allclose(np.searchsorted(values, [low, high]), places, atol=1.5)


def test_a_person_who_is_always_alike_widens_the_interval():
    rng = np.random.default_rng(2)
    people = np.repeat(np.arange(20), 10)
    values = rng.standard_normal(20)[people] + 0.1 * rng.standard_normal(200)
    by_person = np.ptp(median_interval(values, people))
    assert by_person > 2 * np.ptp(median_interval(values, np.arange(200)))


def test_people_with_one_image_on_either_side_have_an_interval_of_some_width():
    values = np.array([1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0])
    # Independent images: 3.18 · 1 / (2 √8) = 0.56, more than there is.
    assert median_interval(values, np.arange(8) // 2) == (1.0, 9.0)
    twenty = np.concatenate([values + shift for shift in np.linspace(0, 1, 20)])
    low, high = median_interval(twenty, np.arange(160) // 2)
    reach = stats.t.ppf(0.975, 79) / (2 * np.sqrt(160))
    want = np.quantile(twenty, [0.5 - reach, 0.5 + reach])
    np.testing.assert_allclose([low, high], want)


def test_values_that_are_missing_are_left_out():
    values = np.random.default_rng(3).random(30)
    people = np.arange(30) // 3
    want = median_interval(values[3:], people[3:] - 1)
    values[:3] = np.nan
    assert median_interval(values, people) == want
    assert np.isnan(median_interval(np.full(3, np.nan), np.arange(3))).all()
    assert np.isnan(median_interval(np.ones(3), np.zeros(3, int))).all()


@pytest.mark.parametrize(("images", "bound"), [(1, (0.92, 0.99)), (5, (0.92, 0.99))])
def test_median_interval_covers_and_its_jackknife_does_not(images, bound):
    rng = np.random.default_rng(4)
    people = np.repeat(np.arange(10), images)
    covered, naive = [], []
    for _ in range(400):
        values = rng.standard_normal(10)[people] + rng.standard_normal(len(people))
        low, high = median_interval(values, people)
        covered.append(low <= 0 <= high)
        without = [np.median(values[people != who]) for who in range(10)]
        low, high = jackknife_interval(float(np.median(values)), np.array(without))
        naive.append(low <= 0 <= high)
    assert bound[0] <= np.mean(covered) <= bound[1]
    assert np.mean(naive) < np.mean(covered) - 0.02


def test_very_many_people_are_left_out_in_groups():
    people = np.arange(3000) // 3
    groups = deletion_groups(people)
    assert set(np.bincount(groups)) == {15}
    # The images of a person stay together.
    assert (groups.reshape(-1, 3) == groups[::3, None]).all()
    values = np.random.default_rng(5).standard_normal(1000)[people]
    errors = []
    for each in (people, groups):
        count = int(each.max()) + 1
        keep = without_each(each, 0, count)
        low, high = jackknife_interval(values.mean(), keep @ values / keep.sum(axis=1))
        errors.append(float(high - low))
    assert errors[1] == pytest.approx(errors[0], rel=0.15)


@pytest.mark.slow
def test_the_coverage_experiment_runs_and_its_record_holds(tmp_path):
    out = tmp_path / "coverage.json"
    script = ROOT / "experiments" / "coverage.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    quick = json.loads(out.read_text())["coverage"]
    assert len(done.stdout.splitlines()) == sum(map(len, quick.values()))
    record = json.loads((script.with_suffix(".json")).read_text())
    for statistic in quick:
        for people, methods in record["coverage"][statistic].items():
            assert record["simulations"][statistic]["used"] >= 400
            if int(people) >= 8:
                assert methods["used"] >= 0.89, (statistic, people)


@pytest.mark.parametrize(("scatter", "images"), [(0.02, 1), (0.0093, 5)])
def test_intervals_of_high_rank_correlations_cover_where_they_are_given(
    scatter, images
):
    rng = np.random.default_rng(0)

    def rows(people):
        person = np.repeat(np.arange(people), images)
        deviation = [
            np.sqrt(0.5)
            * (rng.standard_normal(len(person)) + rng.standard_normal(people)[person])
            for _ in range(2)
        ]
        first_order = 0.1 * np.exp(0.4 * deviation[0])
        return first_order, first_order * np.exp(scatter * deviation[1]), person

    x, y, _ = rows(20_000)
    truth = stats.spearmanr(x, y)[0], stats.kendalltau(x, y)[0]
    frames = []
    for sample in range(100):
        x, y, person = rows(20)
        columns = {"first_order": x, "drift": y, "identity": person.astype(str)}
        image = np.arange(len(x)).astype(str)
        frames.append(pd.DataFrame({**columns, "image": image, "sparsity": sample}))
    whole = {"backbone": "b", "mask": "m", "residual": 0.01, "cosine": 0.9}
    table = summarise(pd.concat(frames).assign(**whole))
    for name, true in zip(("spearman", "kendall"), truth, strict=True):
        ends = table.loc[table["statistic"] == name, ["low", "high"]].to_numpy()
        given = ends[np.isfinite(ends).all(axis=1)]
        assert len(given) > 50
        assert np.mean((given[:, 0] <= true) & (true <= given[:, 1])) >= 0.93
