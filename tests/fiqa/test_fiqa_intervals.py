"""A replicate is the curve of the repeated list; intervals cover and are paired."""

from typing import Any

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import (
    Pairs,
    all_pairs,
    edc,
    edc_intervals,
    fnmr_after_discard,
    intervals,
    pair_quality,
    pauc,
)
from prefiqs_jax.statistics import bootstrap_weights

GRID = np.array([0, 0.013, 0.1, 0.3, 0.77, 0.95])


def _sample(identities=12, each=4, dim=12, seed=0):
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(identities), each)
    noise = 0.2 + 1.5 * rng.random(len(who)) ** 3  # most images are clean
    embeddings = rng.normal(size=(identities, dim))[who]
    embeddings = embeddings + noise[:, None] * rng.normal(size=embeddings.shape)
    quality = {"good": np.round(-noise, 1), "chance": rng.random(len(who))}
    return all_pairs(embeddings, who), who, quality


def _repeated(pairs, who, copies):
    """List the comparisons of a sample in which each copy is a person of its own."""
    rows = []
    for row, (i, j) in enumerate(zip(pairs.first, pairs.second, strict=True)):
        a, b = who[i], who[j]
        if a == b:  # a copy has its own mated comparisons, none with another copy
            rows += [row for _ in range(copies[a])]
        else:
            rows += [row for _ in range(copies[a]) for _ in range(copies[b])]
    return Pairs(*(column[rows] for column in pairs))


def _assert_curve(band, part, pairs, quality, fmr):
    curve = edc(
        pairs.similarity,
        pairs.mated,
        pair_quality(quality, pairs),
        fmr=fmr,
        protocol="fiqat",
    )
    wanted = [fnmr_after_discard(curve, float(x)) for x in GRID]
    np.testing.assert_allclose(getattr(band.fnmr, part), wanted, atol=1e-12)
    assert getattr(band.pauc, part) == pytest.approx(pauc(curve), abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("fmr", [0.001, 0.02, 0.3, 1 / 32])  # 33 of 1056, exactly
def test_a_replicate_is_the_curve_of_the_repeated_list(seed, fmr):
    pairs, who, quality = _sample(seed=seed)
    bands = edc_intervals(
        pairs, who, quality, fmr=fmr, discard_fraction=GRID, replicates=1, seed=seed
    )
    weights = bootstrap_weights(np.arange(12), 1, np.random.default_rng(seed))
    drawn = _repeated(pairs, who, weights[0].astype(int))
    for name, values in quality.items():
        _assert_curve(bands[name], "value", pairs, values, fmr)
        _assert_curve(bands[name], "low", drawn, values, fmr)
        _assert_curve(bands[name], "high", drawn, values, fmr)
    difference = bands["chance"].difference
    wanted = bands["chance"].fnmr.low - bands["good"].fnmr.low
    np.testing.assert_allclose(difference.low, wanted, atol=1e-15)


@pytest.mark.parametrize("numbers", [1, 5000])
def test_chunks_and_slices_change_nothing(monkeypatch, numbers):
    sample = _sample(identities=40)
    whole = edc_intervals(*sample, fmr=0.3, replicates=40)
    monkeypatch.setattr(intervals, "_CHUNK_NUMBERS", numbers)
    monkeypatch.setattr(intervals, "_first_slice", lambda *_: 1)
    parts = edc_intervals(*sample, fmr=0.3, replicates=40)
    for name in whole:
        np.testing.assert_array_equal(whole[name].fnmr, parts[name].fnmr)
        np.testing.assert_allclose(
            whole[name].pauc_difference, parts[name].pauc_difference, atol=1e-15
        )


def test_differences_are_paired():
    pairs, who, quality = _sample(identities=40)
    quality["good again"] = 10 * quality["good"] + 3
    bands = edc_intervals(
        pairs, who, quality, fmr=0.05, reference="good", replicates=200
    )
    for name in ("good", "good again"):
        for found in (bands[name].difference, bands[name].pauc_difference):
            np.testing.assert_array_equal(np.array(found), 0)
    # The better quality is told from chance, though their bands overlap.
    assert bands["chance"].pauc_difference.low > 0
    assert bands["good"].pauc.high > bands["chance"].pauc.low
    for band in bands.values():
        assert (band.fnmr.low <= band.fnmr.high).all()


def test_intervals_cover_the_truth():
    fmr, grid, simulations = 0.05, np.array([0, 0.2]), 60
    covered = np.zeros(2)
    truth = np.mean(
        [_values(_sample(150, 3, seed=1000 + i), fmr, grid) for i in range(30)], axis=0
    )
    for i in range(simulations):
        pairs, who, quality = _sample(50, 3, seed=i)
        band = edc_intervals(
            pairs,
            who,
            {"good": quality["good"]},
            fmr=fmr,
            discard_fraction=grid,
            replicates=200,
            seed=i,
        )["good"]
        covered += (band.fnmr.low <= truth) & (truth <= band.fnmr.high)
    assert (covered / simulations >= 0.88).all()


def _values(sample, fmr, grid):
    pairs, who, quality = sample
    return edc_intervals(
        pairs, who, quality, fmr=fmr, discard_fraction=grid, replicates=1
    )["good"].fnmr.value


def test_people_vary_more_than_comparisons():
    # Where every image of a person is alike, comparisons are no independent evidence.
    rng = np.random.default_rng(4)
    who = np.repeat(np.arange(30), 6)
    noise = rng.choice([0.1, 1.5], 30)[who]
    embeddings = rng.normal(size=(30, 8))[who] + noise[:, None] * rng.normal(
        size=(180, 8)
    )
    pairs = all_pairs(embeddings, who)
    quality = {"chance": rng.random(180)}
    band = edc_intervals(pairs, who, quality, fmr=0.02, replicates=300)["chance"]
    rate, mated = band.fnmr.value[0], pairs.mated.sum()
    independent = 2 * 1.96 * np.sqrt(rate * (1 - rate) / mated)
    assert band.fnmr.high[0] - band.fnmr.low[0] > 1.5 * independent


def test_replicates_without_non_mated_comparisons_are_left_out():
    pairs, who, quality = _sample(identities=2, each=6)
    bands = edc_intervals(pairs, who, quality, fmr=0.1, replicates=30)
    # Half of the draws are one person twice; what is left is everyone once.
    assert np.isfinite(np.array(bands["good"].pauc)).all()
    assert bands["good"].pauc.low == bands["good"].pauc.high


def test_identities_of_other_images_are_not_drawn():
    pairs, who, quality = _sample()
    chosen = np.flatnonzero(who >= 4)
    inside = (who[pairs.first] >= 4) & (who[pairs.second] >= 4)
    part = Pairs(*(column[inside] for column in pairs))
    shifted = Pairs(part.first - 16, part.second - 16, part.similarity, part.mated)
    found = edc_intervals(part, who, quality, fmr=0.05, replicates=20)
    alone = {name: values[chosen] for name, values in quality.items()}
    wanted = edc_intervals(shifted, who[chosen], alone, fmr=0.05, replicates=20)
    np.testing.assert_array_equal(found["good"].fnmr, wanted["good"].fnmr)


def test_bad_requests():
    pairs, who, quality = _sample()
    bad = {"bad": np.where(np.arange(48) == 7, np.nan, 1.0)}
    wrong = who.copy()
    wrong[3] = 5
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ((pairs, who, bad), {}, r"image_quality\[7\] is nan"),
        ((pairs, who, {}), {}, "reference None is none of the qualities"),
        ((pairs, who, quality), {"reference": "best"}, "reference 'best' is none of"),
        ((pairs, wrong, quality), {}, "images 0 and 3 contradicts their identities"),
        ((pairs, who[:-1], quality), {}, "have image 47, but there are 47 identities"),
        ((pairs, who, quality), {"discard_fraction": [1.0]}, r"not in \[0, 1\)"),
        ((pairs, who, quality), {"max_discard": 0}, "max_discard=0 is outside"),
        ((pairs, who, quality), {"replicates": 0}, "at least 1 replicate"),
        ((pairs, who, quality), {"level": 1.0}, "level between 0 and 1"),
        ((pairs, who, quality), {"fmr": 1.0}, r"fmr=1.0 is outside \(0, 1\)"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(InputError, match=message):
            edc_intervals(*arguments, **options)
