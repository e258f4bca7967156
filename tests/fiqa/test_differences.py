"""Qualities that differ are marked, those that do not seldom, and pairs count."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import (
    all_pairs,
    difference_table,
    edc_bands,
    edc_intervals,
    edc_replicates,
    pauc_table,
)
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(40), 8)
    noise = 0.2 + 1.5 * rng.random(320) ** 3
    embeddings = rng.normal(size=(40, 12))[who]
    pairs = all_pairs(
        embeddings + noise[:, None] * rng.normal(size=embeddings.shape), who
    )
    quality = {
        "known": -noise,
        "known again": np.exp(-noise),
        "chance": rng.random(320),
    }
    return pairs, who, quality


@pytest.fixture(scope="module")
def replicates(sample):
    return edc_replicates(
        *sample,
        fmrs=(0.05, 0.01),
        protocols=("crfiqa", "fiqat"),
        max_discards=(0.2, 0.3),
    )


@pytest.mark.slow
def test_one_row_for_each_difference(replicates):
    table = difference_table(replicates, simultaneous=False)
    assert len(table) == 2 * 2 * 2 * 3
    keys = ["protocol", "fmr", "max_discard", "quality", "reference"]
    assert not table.duplicated(keys).any()
    for part in replicates:
        for limit in part.max_discard:
            bands = edc_bands(part, reference="known", max_discard=limit)
            rows = table[
                (table["protocol"] == part.protocol)
                & (table["fmr"] == part.fmr)
                & (table["max_discard"] == limit)
                & (table["reference"] == "known")
            ].set_index("quality")
            for name in ("known again", "chance"):
                found = rows.loc[name, ["difference", "low", "high"]].tolist()
                np.testing.assert_allclose(found, bands[name].pauc_difference)
                assert rows.loc[name, "pauc"] == bands[name].pauc.value


@pytest.mark.slow
def test_real_differences_are_told_from_none(replicates):
    table = difference_table(replicates, reference="known")
    same = table[table["quality"] == "known again"]
    np.testing.assert_array_equal(same[["difference", "low", "high"]], 0)
    assert not np.any(same["differs"])
    other = table[table["quality"] == "chance"]
    assert np.mean(other["differs"]) > 0.8
    np.testing.assert_array_equal(
        table["differs"], (table["low"] > 0) | (table["high"] < 0)
    )
    assert set(table["unit"]) == {"identity"}
    assert set(table["unit_count"]) == {40}


@pytest.mark.parametrize("method", ["jackknife", "bootstrap"])
def test_all_at_once_is_stricter_than_each(sample, method):
    found = edc_replicates(*sample, fmrs=(0.05, 0.01), replicates=100, method=method)
    each = difference_table(found, simultaneous=False)
    together = difference_table(found)
    wide, narrow = (np.asarray(t["high"] - t["low"]) for t in (together, each))
    same = np.asarray(each["quality"] == "known again")
    np.testing.assert_array_equal(wide[same & (narrow == 0)], 0)
    assert (wide[narrow > 0] > narrow[narrow > 0]).all()
    if method == "jackknife":
        # One multiple of the standard error, between that of one and Bonferroni's.
        count = found[0].pauc.shape[1] - 1
        assert count == 40
        change = found[0].pauc[2, :, 0] - found[0].pauc[0, :, 0]
        error = np.sqrt((count - 1) * np.var(change[1:]))
        most = (together["high"] - together["difference"])[1] / error
        alone, strict = stats.t.ppf([0.975, 1 - 0.025 / 6], count - 1)
        assert alone < most < strict


def test_replicates_of_several_calls_are_no_family(sample):
    one = edc_replicates(*sample, fmrs=(0.05,))
    other = edc_replicates(*sample, fmrs=(0.01,), replicates=20, method="bootstrap")
    with pytest.raises(InputError, match="of several calls"):
        difference_table([*one, *other])


def test_areas_are_those_of_the_bands(replicates):
    table = pauc_table(replicates, level=0.9).set_index(
        ["protocol", "fmr", "max_discard", "quality"]
    )
    assert len(table) == 2 * 2 * 2 * 3
    for part in replicates:
        for limit in part.max_discard:
            bands = edc_bands(part, max_discard=limit, level=0.9)
            for name, band in bands.items():
                row = table.loc[(part.protocol, part.fmr, limit, name)]
                assert row[["pauc", "low", "high"]].tolist() == list(band.pauc)


@pytest.mark.slow
def test_equal_qualities_are_seldom_marked():
    marked = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        who = np.repeat(np.arange(40), 3)
        embeddings = rng.normal(size=(40, 8))[who] + 0.8 * rng.normal(size=(120, 8))
        quality = {"one": rng.random(120), "two": rng.random(120)}
        found = edc_replicates(
            all_pairs(embeddings, who), who, quality, fmrs=(0.05,), replicates=60
        )
        marked += bool(np.any(difference_table(found)["differs"]))
    assert marked <= 7  # 2 of 40 are expected, more than 7 by chance in 0.1 %


def test_bad_requests(replicates):
    cases: list[tuple[dict[str, Any], str]] = [
        ({"reference": "best"}, "reference 'best' is none of the qualities"),
        ({"level": 1.0}, "level between 0 and 1"),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            difference_table(replicates, **options)
    alone = [replicates[0]._replace(quality=("known",))]
    with pytest.raises(InputError, match=r"qualities \['known'\]; give at least two"):
        difference_table(alone)
    with pytest.raises(InputError, match=r"max_discard=0.25 is none of .*: 0.2, 0.3"):
        edc_bands(replicates[0], max_discard=0.25)
    with pytest.raises(InputError, match="there is no quality"):
        edc_replicates(_pairs(), None, {})
    cases = [
        ({"fmrs": ()}, "at least one FMR"),
        ({"max_discards": (0.97,), "protocols": ("crfiqa",)}, r"outside \(0, 0.95\]"),
        (
            {"discard_fraction": [0.96], "protocols": ("crfiqa",)},
            r"not in \[0, 0.95\]",
        ),
    ]
    for options, message in cases:
        with pytest.raises(InputError, match=message):
            edc_replicates(_pairs(), None, {"one": np.ones(4)}, **options)
    band = edc_intervals(_pairs(), None, {"one": np.ones(4)}, fmr=0.3, replicates=3)
    assert band["one"].unit == "image"


def _pairs():
    return all_pairs(np.eye(4) + 0.1, list("aabb"))


@pytest.mark.parametrize("method", ["jackknife", "bootstrap"])
def test_a_statistic_that_is_nowhere_known_takes_no_part(method):
    values = np.random.default_rng(0).normal(size=(201, 3))
    values[:, 2] = np.nan
    low, high = simultaneous_intervals(values, method)
    alone = simultaneous_intervals(values[:, :2], method)
    np.testing.assert_array_equal(np.stack([low, high])[:, :2], alone)
    assert np.isnan([low[2], high[2]]).all()


def test_few_draws_without_a_statistic_are_left_out():
    values = np.random.default_rng(0).normal(size=(201, 3))
    values[50:60, 2] = np.nan
    found = simultaneous_intervals(values, "bootstrap")
    kept = np.delete(values, range(50, 60), axis=0)
    np.testing.assert_array_equal(found, simultaneous_intervals(kept, "bootstrap"))
