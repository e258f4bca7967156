"""A replicate is the curve of the repeated list; intervals cover and are paired."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import (
    PROTOCOLS,
    Pairs,
    all_pairs,
    edc,
    edc_bands,
    edc_intervals,
    edc_replicates,
    few_told,
    fnmr_after_discard,
    ordering,
    pair_quality,
    pauc,
)
from prefiqs_jax.fiqa.bootstrap import pooled, replicate_curves, resampling
from prefiqs_jax.statistics import bootstrap_weights

# Tied qualities are the rule in these samples.
pytestmark = pytest.mark.filterwarnings("ignore:.* tie in quality at a cut")

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


def _repeated_images(pairs, copies):
    """List the comparisons of a sample in which each copy is an image of its own."""
    times = [
        int(copies[i] * copies[j])
        for i, j in zip(pairs.first, pairs.second, strict=True)
    ]
    rows = [row for row, count in enumerate(times) for _ in range(count)]
    return Pairs(*(column[rows] for column in pairs))


def _assert_curve(band, part, pairs, quality, fmr, protocol):
    curve = edc(
        pairs.similarity,
        pairs.mated,
        pair_quality(quality, pairs),
        fmr=fmr,
        protocol=protocol,
    )
    wanted = np.array([fnmr_after_discard(curve, float(x)) for x in GRID])
    # Without an error, an interval has no ends.
    if part != "value":
        wanted[(wanted == 0) & (band.fnmr.value == 0)] = np.nan
    np.testing.assert_allclose(getattr(band.fnmr, part), wanted, atol=1e-12)
    if np.isfinite(wanted[:4]).all():
        assert getattr(band.pauc, part) == pytest.approx(pauc(curve), abs=1e-12)


# The presets, and ways to depart from them: ties, rule, discard, threshold, steps.
SETTINGS = [
    *PROTOCOLS.values(),
    dataclasses.replace(PROTOCOLS["crfiqa"], ties="group", rule="at_most"),
    dataclasses.replace(PROTOCOLS["crfiqa"], threshold="fixed", operator="ge"),
    dataclasses.replace(PROTOCOLS["crfiqa"], threshold="fixed", ties="group"),
    dataclasses.replace(PROTOCOLS["crfiqa"], discard="proportional"),
    dataclasses.replace(PROTOCOLS["fiqat"], steps="grid", rule="nearest"),
    dataclasses.replace(PROTOCOLS["fiqat"], ties="listed", interpolation="linear"),
    dataclasses.replace(PROTOCOLS["fiqat"], discard="pooled"),
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("fmr", [0.001, 0.02, 0.3, 1 / 32])  # 33 of 1056, exactly
@pytest.mark.parametrize(
    "switches", SETTINGS, ids=lambda s: "-".join(dataclasses.astuple(s))
)
def test_a_replicate_is_the_curve_of_the_repeated_list(seed, fmr, switches):
    pairs, who, quality = _sample(seed=seed)
    bands = edc_intervals(
        pairs,
        who,
        quality,
        fmr=fmr,
        protocol=switches,
        discard_fraction=GRID,
        replicates=1,
        seed=seed,
        method="bootstrap",
    )
    weights = bootstrap_weights(np.arange(12), 1, np.random.default_rng(seed))
    drawn = _repeated(pairs, who, weights[0].astype(int))
    for name, values in quality.items():
        _assert_curve(bands[name], "value", pairs, values, fmr, switches)
        _assert_curve(bands[name], "low", drawn, values, fmr, switches)
        _assert_curve(bands[name], "high", drawn, values, fmr, switches)
    difference = bands["chance"].difference
    chance, good = (
        np.where(np.isnan(rate.low) & (rate.value == 0), 0, rate.low)
        for rate in (bands["chance"].fnmr, bands["good"].fnmr)
    )
    none = (chance == 0) & (good == 0) & np.isnan(difference.low)
    wanted = np.where(none, np.nan, chance - good)
    np.testing.assert_allclose(difference.low, wanted, atol=1e-15)
    assert (bands["good"].unit, bands["good"].reference) == ("identity", "good")


@pytest.mark.parametrize("most", [500, 5])
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_the_jackknife_leaves_people_out(protocol, most):
    pairs, who, quality = _sample()
    (found,) = edc_replicates(
        pairs,
        who,
        quality,
        fmrs=(0.02,),
        protocols=(protocol,),
        discard_fraction=GRID,
        replicates=most,
        seed=3,
    )
    groups = np.arange(12)
    if most < 12:
        groups = np.random.default_rng(3).permutation(12) % most
    assert found.method == "jackknife"
    assert found.fnmr.shape[1] == 1 + min(most, 12)
    for group in range(min(most, 12)):
        out = np.flatnonzero(groups == group)
        kept = ~np.isin(who[pairs.first], out) & ~np.isin(who[pairs.second], out)
        left = Pairs(*(column[kept] for column in pairs))
        for row, values in enumerate(quality.values()):
            curve = edc(
                left.similarity,
                left.mated,
                pair_quality(values, left),
                fmr=0.02,
                protocol=protocol,
            )
            fnmr = [fnmr_after_discard(curve, float(x)) for x in GRID]
            np.testing.assert_allclose(found.fnmr[row, 1 + group], fnmr, atol=1e-12)
            assert found.pauc[row, 1 + group, 0] == pytest.approx(
                pauc(curve), abs=1e-12
            )
    # An area's interval is that of its logarithm, with Student's quantile.
    band = edc_bands(found)["good"].pauc
    area = np.log(found.pauc[0, :, 0])
    count = len(area) - 1
    error = np.sqrt((count - 1) * np.var(area[1:]))
    reach = stats.t.ppf(0.975, count - 1) * error
    np.testing.assert_allclose(
        (band.low, band.high), np.exp([area[0] - reach, area[0] + reach])
    )


def test_many_people_are_drawn_and_few_left_out():
    for count, method in ((100, "jackknife"), (101, "bootstrap")):
        found = edc_replicates(*_sample(identities=count, each=2), replicates=3)
        assert found[0].method == method
    with pytest.raises(InputError, match="unknown method 'boot'; did you mean"):
        edc_replicates(*_sample(), method="boot")
    with pytest.raises(InputError, match="at least 2"):
        edc_replicates(*_sample(), replicates=1)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("seed", range(3))
def test_images_are_drawn_where_identities_are_unknown(protocol, seed):
    pairs, _, quality = _sample(seed=seed)
    keep = np.random.default_rng(seed).random(len(pairs.first)) < 0.5
    pairs = Pairs(*(column[keep] for column in pairs))
    options: dict[str, Any] = {"fmr": 0.02, "discard_fraction": GRID, "seed": seed}
    options["method"] = "bootstrap"
    bands = edc_intervals(
        pairs, None, quality, protocol=protocol, replicates=1, **options
    )
    weights = bootstrap_weights(np.arange(48), 1, np.random.default_rng(seed))
    drawn = _repeated_images(pairs, weights[0])
    for name, values in quality.items():
        assert bands[name].unit == "image"
        _assert_curve(bands[name], "low", drawn, values, 0.02, protocol)


@pytest.mark.filterwarnings("ignore:no non-mated comparison is left")
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_comparisons_are_drawn_where_none_share_an_image(protocol):
    rng = np.random.default_rng(2)
    first = rng.permutation(300)
    mated = np.arange(150) < 70
    pairs = Pairs(first[::2], first[1::2], rng.normal(size=150) + 2 * mated, mated)
    quality = {"chance": np.round(rng.random(300), 1)}
    options: dict[str, Any] = {"fmr": 0.1, "discard_fraction": GRID, "seed": 5}
    options["method"] = "bootstrap"
    band = edc_intervals(
        pairs, None, quality, protocol=protocol, replicates=1, **options
    )["chance"]
    assert band.unit == "comparison"
    weights = bootstrap_weights(np.arange(150), 1, np.random.default_rng(5))[0]
    rows = np.repeat(np.arange(150), weights.astype(int))
    drawn = Pairs(*(column[rows] for column in pairs))
    _assert_curve(band, "low", drawn, quality["chance"], 0.1, protocol)


@pytest.mark.slow
def test_settings_are_what_each_alone_would_be():
    pairs, who, quality = _sample()
    found = edc_replicates(
        pairs,
        who,
        quality,
        fmrs=(0.1, 0.01),
        protocols=("crfiqa", "fiqat"),
        max_discards=(0.2, 0.95),
        replicates=30,
    )
    assert len(found) == 4
    for part in found:
        for limit in part.max_discard:
            bands = edc_bands(part, reference="chance", max_discard=limit)
            alone = edc_intervals(
                pairs,
                who,
                quality,
                fmr=part.fmr,
                protocol=part.protocol,
                reference="chance",
                max_discard=limit,
                replicates=30,
            )
            for name, band in bands.items():
                np.testing.assert_array_equal(band.fnmr, alone[name].fnmr)
                np.testing.assert_array_equal(
                    band.pauc_difference, alone[name].pauc_difference
                )


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["fiqat", "crfiqa"])
@pytest.mark.parametrize("numbers", [1, 5000])
def test_chunks_and_slices_change_nothing(monkeypatch, numbers, protocol):
    sample = _sample(identities=20)
    options: dict[str, Any] = {"fmr": 0.3, "replicates": 40, "protocol": protocol}
    whole = edc_intervals(*sample, **options)
    monkeypatch.setattr(replicate_curves, "_CHUNK_NUMBERS", numbers)
    monkeypatch.setattr(replicate_curves, "first_length", lambda *_: 1)
    monkeypatch.setattr(resampling, "_BLOCK", 700)
    monkeypatch.setattr(pooled, "_AT_ONCE", numbers)
    monkeypatch.setattr(pooled, "BLOCK", 50)
    monkeypatch.setattr(ordering, "_DIGIT", 16)
    parts = edc_intervals(*sample, **options)
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
        known = band.fnmr.value > 0
        assert known[:30].all()
        assert (band.fnmr.low <= band.fnmr.high)[known].all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "simulations", "replicates"), [("fiqat", 60, 200), ("crfiqa", 20, 80)]
)
def test_intervals_cover_the_truth(protocol, simulations, replicates):
    fmr, grid = 0.05, np.array([0, 0.2])
    covered = np.zeros(2)
    samples = [_sample(150, 3, seed=1000 + i) for i in range(20)]
    truth = np.mean([_values(each, fmr, grid, protocol) for each in samples], axis=0)
    for i in range(simulations):
        pairs, who, quality = _sample(50, 3, seed=i)
        band = edc_intervals(
            pairs,
            who,
            {"good": quality["good"]},
            fmr=fmr,
            discard_fraction=grid,
            replicates=replicates,
            seed=i,
            protocol=protocol,
        )["good"]
        covered += (band.fnmr.low <= truth) & (truth <= band.fnmr.high)
    assert (covered / simulations >= 0.88).all()


def _values(sample, fmr, grid, protocol):
    pairs, _, quality = sample
    curve = edc(
        pairs.similarity,
        pairs.mated,
        pair_quality(quality["good"], pairs),
        fmr=fmr,
        protocol=protocol,
    )
    return [fnmr_after_discard(curve, float(x)) for x in grid]


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
    bands = edc_intervals(
        pairs, who, quality, fmr=0.1, replicates=30, method="bootstrap"
    )
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


@pytest.mark.parametrize("method", ["jackknife", "bootstrap"])
def test_where_no_error_is_left_there_is_no_band(method):
    who = np.repeat(np.arange(40), 6)
    rng = np.random.default_rng(0)
    noise = rng.random(240) ** 3
    embeddings = rng.normal(size=(40, 16))[who]
    embeddings += 2.5 * noise[:, None] * rng.normal(size=(240, 16))
    pairs = all_pairs(embeddings, who)
    quality = {"good": -noise, "also": -noise + 1e-3 * rng.random(240)}
    bands = edc_intervals(pairs, who, quality, fmr=0.01, replicates=60, method=method)
    for band in bands.values():
        none = band.fnmr.value == 0
        assert none[70]
        assert not none[:5].any()
        width = band.fnmr.high - band.fnmr.low
        assert not (width == 0).any()
        assert np.isnan(width[70])
        assert (width[:5] > 0).all()
    change = bands["also"].difference
    assert np.isnan([change.low[70], change.high[70]]).all()
    assert np.isfinite(change.low[:5]).all()
    assert (bands["good"].difference.low == 0).all()


def test_few_comparisons_or_images_are_drawn_and_told():
    """The jackknife of these covers with 74 %: see the notes of edc_replicates."""
    rng = np.random.default_rng(0)
    mated = np.arange(100) < 50
    place = np.arange(100)
    alone = Pairs(place, place + 100, rng.normal(size=100) + mated, mated)
    shared = Pairs(place, (place + 7) % 100, alone.similarity, mated)
    for pairs, unit, count in ((alone, "comparison", 100), (shared, "image", 100)):
        quality = {"chance": rng.random(200)}
        (found,) = edc_replicates(pairs, None, quality, fmrs=(0.1,), replicates=30)
        assert (found.unit, found.unit_count) == (unit, count)
        assert (found.method, found.replicate_count) == ("bootstrap", 30)
        told = few_told(found.unit, found.unit_count, f"{unit}s")
        assert told is not None
        assert f"intervals of 100 {unit}s contain the truth less often" in told
    assert few_told("image", 200, "images") is None
    assert few_told("identity", 19, "people") is not None
    assert few_told("identity", 20, "people") is None


@pytest.mark.slow
def test_few_comparisons_cover_better_by_the_bootstrap():
    rng = np.random.default_rng(2)
    grid, fmr, n = np.array([0.0]), 0.1, 50
    hits: dict[Any, int] = {"jackknife": 0, None: 0}
    # Non-mated N(0, 1), mated N(2.2, 1): the FNMR at FMR 0.1.
    truth = stats.norm.cdf(stats.norm.isf(fmr) - 2.2)
    mated, place = np.arange(2 * n) < n, np.arange(2 * n)
    for seed in range(150):
        similarity = rng.normal(size=2 * n) + 2.2 * mated
        pairs = Pairs(place, place + 2 * n, similarity, mated)
        for method in hits:
            quality = {"same": np.arange(4 * n)}
            band = edc_intervals(
                pairs,
                None,
                quality,
                fmr=fmr,
                discard_fraction=grid,
                replicates=200,
                seed=seed,
                method=method,
            )["same"]
            hits[method] += bool(band.fnmr.low[0] <= truth <= band.fnmr.high[0])
    assert hits["jackknife"] / 150 < 0.9 < hits[None] / 150
