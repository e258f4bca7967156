"""The summary table: clusters, intervals, rounding, degenerate runs, bad input."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics import (
    ROUNDING_AT,
    STATISTICS,
    gathered,
    quantiles,
    summarise,
    summary,
)


def _rows(images=30, sparsities=(0.1, 0.3), people=0, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for image in range(images):
        scale = rng.gamma(9) / 9
        for sparsity in sparsities:
            first_order = scale * sparsity**1.5
            rows.append(
                {
                    "backbone": "toy",
                    "mask": "global/magnitude",
                    "image": f"{image:04d}.png",
                    "identity": f"person {image % people}" if people else None,
                    "sparsity": sparsity,
                    "first_order": first_order,
                    "drift": first_order * np.exp(0.3 * sparsity * rng.normal()),
                    "residual": 0.2 * first_order * rng.random(),
                    "cosine": 1 - 0.1 * sparsity if sparsity else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _value(table, sparsity, statistic, column="value"):
    chosen = (table.sparsity == sparsity) & (table.statistic == statistic)
    return table.loc[chosen, column].item()


def test_values_lie_in_their_intervals():
    table = summarise(_rows())
    assert len(table) == 2 * len(STATISTICS)
    assert (table.low <= table.value + 1e-12).all()
    assert (table.value <= table.high + 1e-12).all()
    assert (table.images == 30).all()
    assert (table.resampled_by == "image").all()


def test_value_is_the_plain_statistic():
    rows = _rows()
    table = summarise(rows)
    chosen = rows[rows.sparsity == 0.3]
    want = stats.spearmanr(chosen.first_order, chosen.drift)[0]
    assert _value(table, 0.3, "spearman") == pytest.approx(want, abs=1e-12)


def test_clusters_are_identities_only_if_all_are_known():
    rows = _rows(people=9)
    table = summarise(rows)
    assert set(table.resampled_by) == {"identity"}
    assert set(table.clusters) == {9}
    assert set(table.caution) == {""}
    rows.loc[3, "identity"] = None
    table = summarise(rows)
    assert set(table.resampled_by) == {"image"}
    assert set(table.clusters) == {30}
    assert set(table.caution) == {
        "by image, identities unknown: too narrow if several images show one person"
    }


@pytest.mark.parametrize("name", STATISTICS)
def test_interval_is_the_jackknife_done_by_hand(name):
    rows = _rows(images=40, sparsities=(0.3,), people=8)
    table = summarise(rows)
    if name.startswith("median"):
        share = rows.residual / rows.drift
        if name == "median_norm_error":
            share = (rows.first_order - rows.drift).abs() / rows.drift
        below = share <= np.median(share)
        parts = [below[rows.identity != who].mean() for who in rows.identity.unique()]
        without = np.array(parts)
        error = np.sqrt(7 / 8 * np.sum((without - np.mean(without)) ** 2))
        # Not below that of 40 independent images.
        reach = stats.t.ppf(0.975, 7) * max(error, 0.5 / np.sqrt(40))
        want = np.quantile(share, np.clip([0.5 - reach, 0.5 + reach], 0, 1))
    else:
        parts = [
            _value(summarise(rows.loc[rows.identity != who]), 0.3, name)
            for who in rows.identity.unique()
        ]
        scale, back = (np.array, np.array) if name == "slope" else (np.arctanh, np.tanh)
        without, value = scale(parts), scale(_value(table, 0.3, name))
        error = np.sqrt(7 / 8 * np.sum((without - np.mean(without)) ** 2))
        reach = stats.t.ppf(0.975, 7) * error
        want = back([value - reach, value + reach])
        if name == "spearman":  # the bias over samples, see with_rank_limits
            whole = [_value(table, 0.3, each) for each in ("spearman", "kendall")]
            want[1] += 3 * (whole[0] - whole[1]) / (40 - 2)
    got = [_value(table, 0.3, name, end) for end in ("low", "high")]
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_same_table_whatever_the_chunk(monkeypatch):
    rows = _rows(people=9)
    whole = summarise(rows)
    monkeypatch.setattr(summary, "_CHUNK_NUMBERS", 4 * 30)
    pd.testing.assert_frame_equal(whole, summarise(rows), rtol=1e-12)


@pytest.mark.parametrize(
    ("people", "says"),
    [
        (1, "1 person: no interval, it takes 3"),
        (2, "2 people: no interval, it takes 3"),
        (5, "5 people: with fewer than 8 the intervals miss the truth more often"),
    ],
)
def test_few_people_are_said(people, says):
    table = summarise(_rows(people=people))
    assert set(table.clusters) == {people}
    assert table.caution.str.startswith(says).all()
    assert np.isnan(table[["low", "high"]].to_numpy()).all() == (people < 3)
    assert table.value.notna().all()
    assert gathered(table)[0].startswith(says)


def test_changes_of_rounding_are_named_and_left_out():
    rows = _rows(sparsities=(0.1, 0.3), people=10)
    want = summarise(rows.loc[(rows.sparsity == 0.3) & (rows.index >= 10)])
    rows["achieved_sparsity"] = rows["sparsity"].where(rows["sparsity"] > 0.2, 0.0)
    rounded = (rows.sparsity == 0.1) | (rows.index < 10)
    rows.loc[rounded, ["first_order", "residual"]] = 0.0
    rows.loc[rounded, "drift"] = 2.6e-8
    table = summarise(rows)
    empty = table[table.sparsity == 0.1]
    columns = ["value", "low", "high"]
    assert np.isnan(np.asarray(empty[columns])).all()
    assert set(empty.images) == {0}
    assert set(empty.below_rounding) == {30}
    assert set(empty.caution) == {"nothing was pruned"}
    rest = table.loc[table.sparsity == 0.3].reset_index(drop=True)
    assert set(rest.below_rounding) == {5}
    assert set(rest.images) == {25}
    assert rest.caution.str.startswith("5 of 30 images left out").all()
    pd.testing.assert_frame_equal(rest.loc[:, columns], want.loc[:, columns])
    assert gathered(table)[0] == "Sparsity 0.1: nothing was pruned."
    known = quantiles(rows)
    assert known.loc[known.sparsity == 0.1, "q50"].isna().all()
    assert set(known.loc[known.sparsity == 0.1, "below_rounding"]) == {30}


def test_row_order_does_not_change_values():
    rows = _rows()
    shuffled = rows.sample(frac=1, random_state=1)
    columns = ["value", "low", "high"]
    first, second = (summarise(r)[columns] for r in (rows, shuffled))
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_sparsity_zero_has_no_statistic():
    table = summarise(_rows(sparsities=(0.0, 0.3)))
    missing = np.isnan(table[["value", "low", "high"]].to_numpy())
    zero = table.sparsity.to_numpy() == 0
    assert missing[zero].all()
    assert not missing[~zero].any()


@pytest.mark.parametrize("images", [1, 2])
def test_too_few_images_have_values_without_intervals(images):
    table = summarise(_rows(images=images))
    assert np.isnan(table[["low", "high"]].to_numpy()).all()
    assert np.isnan(_value(table, 0.3, "pearson"))
    assert np.isfinite(_value(table, 0.3, "slope"))


def test_missing_images_are_counted():
    rows = _rows()
    table = summarise(rows.drop(index=[1, 3]))
    assert _value(table, 0.1, "pearson", "images") == 30
    assert _value(table, 0.3, "pearson", "images") == 28


def test_runs_are_kept_apart():
    other = _rows(seed=1).assign(mask="layerwise/magnitude")
    table = summarise(pd.concat([_rows(), other]))
    assert list(table["mask"].unique()) == ["global/magnitude", "layerwise/magnitude"]
    assert len(table) == 4 * len(STATISTICS)


def test_progress_counts_every_sparsity():
    done = []
    summarise(_rows(), on_progress=done.append)
    assert done == [1, 1]


def test_bad_input_is_named():
    rows = _rows()
    with pytest.raises(InputError, match="no rows"):
        summarise(rows.iloc[:0])
    with pytest.raises(InputError, match=r"0000.png has two rows at sparsity 0.1"):
        summarise(pd.concat([rows, rows.iloc[:1]]))
    with pytest.raises(InputError, match="level=95"):
        summarise(rows, level=95)
    rows.loc[2, "drift"] = np.nan
    with pytest.raises(InputError, match=r"0001.png at sparsity 0.1 .* not finite"):
        summarise(rows)


def _ranked(drift, people, **columns):
    return pd.DataFrame(
        {
            "backbone": "toy",
            "mask": "m",
            "image": [str(place) for place in range(len(drift))],
            "identity": [f"person {who}" for who in people],
            "sparsity": 0.4,
            "first_order": np.arange(1, len(drift) + 1) / 100,
            "drift": np.asarray(drift) / 100,
            "residual": 0.01,
            "cosine": 0.9,
            **columns,
        }
    )


@pytest.mark.parametrize(
    ("drift", "people"),
    [
        ([1, 2, 3, 4, 6, 5, 7, 8, 9, 10], range(10)),
        ([10, 9, 8, 7, 5, 6, 4, 3, 2, 1], range(10)),
        (range(1, 13), range(12)),
        # All of the disorder is one person's.
        ([5, 4, 3, 2, 1, *range(6, 51)], np.arange(50) // 5),
    ],
)
def test_a_perfect_order_without_one_person_has_no_interval(drift, people):
    lines = summarise(_ranked(drift, people)).set_index("statistic")
    for name in ("spearman", "kendall"):
        line = lines.loc[name]
        assert abs(line["value"]) > 0.8
        assert np.isnan([line["low"], line["high"]]).all()
        assert f"{name} has no interval: " in line["caution"]
        assert "exactly 1 or -1" in line["caution"]
    assert lines.loc["slope", "caution"] == ""


def test_a_line_has_no_interval_of_its_correlation():
    rows = _ranked(range(1, 11), range(10)).assign(cosine=1.0)
    lines = summarise(rows.assign(drift=rows.first_order * 3)).set_index("statistic")
    for name in ("pearson", "mean_cosine"):
        assert np.isnan(lines.loc[name, "low"])
        assert f"{name} has no interval: it is exactly 1" in lines.loc[name, "caution"]


def test_few_pairs_out_of_order_leave_the_end_open():
    two = [2, 1, 3, 4, 5, 6, 7, 9, 8, 10]
    lines = summarise(_ranked(two, range(10))).set_index("statistic")
    for name in ("spearman", "kendall"):
        low, high = lines.loc[name, ["low", "high"]]
        assert 0.2 < low < 1
        assert high == 1
    falling = summarise(_ranked([11 - one for one in two], range(10)))
    low = falling.set_index("statistic").loc["kendall", "low"]
    assert low == -1


def test_every_missing_interval_says_why():
    people = np.arange(24) // 3
    rng = np.random.default_rng(0)
    drift = rng.permutation(24) + 1
    cosine = np.full(24, np.nan)
    cosine[:3] = 0.5
    alike = np.where(people == 0, drift, 10)
    frames = [
        _ranked(drift, people, cosine=cosine),
        _ranked(drift, people, cosine=np.nan),
        _ranked(np.full(24, 5), people),
        _ranked(alike, people),
        _ranked(range(1, 25), people),
        _ranked(drift, np.arange(24) // 12),
        _ranked([1, 2], [0, 1]),
        _ranked(drift, people).assign(drift=1e-9, first_order=0.0),
        _ranked(drift, people).assign(first_order=0.0),
        _ranked(np.where(people < 7, 0, drift), people),
    ]
    for rows in frames:
        table = summarise(rows)
        missing = np.isnan(table[["value", "low", "high"]].to_numpy()).any(axis=1)
        assert missing.any()
        assert "" not in set(table.loc[missing, "caution"])
    lines = summarise(frames[0]).set_index("statistic")
    assert lines.loc["mean_cosine", "clusters"] == 1
    assert "mean_cosine, known of 1 of 8 people" in lines.loc["mean_cosine", "caution"]
    assert lines.loc["slope", "clusters"] == 8
    assert lines.loc["slope", "caution"] == ""
    assert lines.loc["mean_cosine", "images"] == 24


def test_people_without_the_statistic_are_not_left_out_one_by_one():
    people = np.arange(30) // 3
    rng = np.random.default_rng(1)
    rows = _ranked(rng.permutation(30) + 1, people, cosine=rng.uniform(0.5, 0.9, 30))
    rows.loc[people == 4, "cosine"] = np.nan
    line = summarise(rows).set_index("statistic").loc["mean_cosine"]
    alone = summarise(rows.loc[people != 4]).set_index("statistic").loc["mean_cosine"]
    assert line["clusters"] == 9
    assert list(line[["low", "high"]]) == list(alone[["low", "high"]])
    assert line["caution"] == "mean_cosine, known of 9 of 10 people"


def test_copies_of_an_image_are_no_further_images():
    rows = _rows(images=14, sparsities=(0.3,))
    source = [f"{place // 2:04d}.png" for place in range(14)]
    table = summarise(rows.assign(copy_of=source))
    assert set(table["clusters"]) == {7}
    assert set(table["images"]) == {14}
    for words in table["caution"]:
        assert "7 images: with fewer than 8" in words
    as_people = summarise(rows.assign(identity=source))
    np.testing.assert_array_equal(table[["low", "high"]], as_people[["low", "high"]])
    # Known people go before.
    known = summarise(_rows(images=14, people=2).assign(copy_of="one"))
    assert set(known["clusters"]) == {2}


def test_rounding_is_that_of_the_precision():
    rows = _rows(sparsities=(0.1,))
    assert set(summarise(rows)["below_rounding"]) == {0}
    table = summarise(rows, rounding=ROUNDING_AT["fast"])
    assert set(table["below_rounding"]) == {30}
    assert set(table["caution"]) == {"all changes are rounding"}


def test_quantiles_equal_numpy():
    rows = _rows()
    table = quantiles(rows, ["drift"], [0.05, 0.5])
    assert list(table.sparsity) == [0.1, 0.3]
    want = np.quantile(rows.drift[rows.sparsity == 0.3], 0.05)
    assert table.q05[1] == pytest.approx(want)


def test_import_takes_no_large_package():
    code = (
        "import prefiqs_jax.statistics, sys;"
        "large = {'jax', 'matplotlib', 'pandas', 'flax', 'scipy.stats'};"
        "print(sorted(large & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
