"""Curves equal the published ones, their definitions by hand, and closed forms."""

import dataclasses
import itertools

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import (
    GRID,
    PROTOCOLS,
    Protocol,
    angular_similarity,
    edc,
    fnmr_after_discard,
    fnmr_at,
    pauc,
    threshold_at_fmr,
)
from prefiqs_jax.fiqa.discard.protocol import find_protocol

# Tied qualities are the rule in these samples.
pytestmark = pytest.mark.filterwarnings("ignore:.* tie in quality at a cut")

FIQAT = PROTOCOLS["fiqat"]
LISTED = dataclasses.replace(PROTOCOLS["crfiqa"], ties="listed")


def _comparisons(count=200, seed=0, digits=2):
    """Give similarities, kinds and qualities, with ties in both numbers."""
    rng = np.random.default_rng(seed)
    mated = rng.random(count) < 0.5
    quality = np.round(rng.random(count), digits)
    similarity = np.round(rng.normal(size=count) + (1 + quality) * mated, digits)
    return similarity, mated, quality


@pytest.mark.parametrize("case", [0, 1, 2])
def test_crfiqa_equals_the_published_code(shared, case):
    with np.load(shared(f"edc/crfiqa_case{case}.npz")) as stored:
        data = dict(stored)
    unit = data["embeddings"]
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    first, second = data["pairs"].T
    similarity = angular_similarity(np.einsum("cd,cd->c", unit[first], unit[second]))
    for i, fmr in enumerate(data["fmr"].tolist()):
        curve = edc(similarity, data["mated"], data["pair_quality"], fmr=fmr)
        fraction = data["discard_fraction"]
        np.testing.assert_array_equal(curve.discard_fraction, fraction)
        np.testing.assert_allclose(curve.fnmr, data["fnmr"][i], rtol=0, atol=1e-12)
        assert pauc(curve) == pytest.approx(data["pauc_30"][i], abs=1e-12)
        whole = pauc(curve, max_discard=0.95)
        assert whole == pytest.approx(data["auc"][i], abs=1e-12)


def _crfiqa_by_hand(similarity, mated, quality, fmr):
    """Follow the published rules one by one, on small lists."""
    order = np.argsort(quality, kind="stable")
    values = []
    for fraction in np.arange(0, 0.98, 0.05):
        kept = order[int(fraction * len(order)) :]
        genuine, impostor = (
            similarity[kept][mated[kept]],
            similarity[kept][~mated[kept]],
        )
        thresholds = np.unique(np.concatenate([genuine, impostor]))
        rates = np.array([(impostor >= t).sum() / len(impostor) for t in thresholds])
        threshold = thresholds[np.argmin(np.abs(rates - fmr))]
        values.append((threshold, 1 - (genuine > threshold).sum() / len(genuine)))
    return np.array(values).T


@pytest.mark.slow
@pytest.mark.parametrize("fmr", [0.5, 0.1, 0.02, 0.015, 1e-4])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("digits", [1, 2, 12])
def test_crfiqa_equals_its_rules_with_ties(fmr, seed, digits):
    data = _comparisons(400, seed, digits)
    curve = edc(*data, fmr=fmr, protocol=LISTED)
    threshold, fnmr = _crfiqa_by_hand(*data, fmr)
    np.testing.assert_array_equal(curve.threshold, threshold)
    np.testing.assert_allclose(curve.fnmr, fnmr, rtol=0, atol=1e-14)


def _fiqat_by_hand(similarity, mated, quality, fmr):
    """Emit a point wherever the quality changes; the threshold from all non-mated."""
    threshold = threshold_at_fmr(similarity[~mated], fmr)
    worst_first = sorted(
        zip(quality[mated].tolist(), similarity[mated].tolist(), strict=True)
    )
    errors = [s < threshold for _, s in worst_first]
    points, count = [], len(errors)
    for k in range(count):
        if k == 0 or worst_first[k][0] != worst_first[k - 1][0]:
            points.append((k / count, sum(errors[k:]) / (count - k)))
    return [*points, (1.0, 0.0)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 2, 12])
@pytest.mark.parametrize("limit", [0.2, 0.3, 1.0])
def test_fiqat_equals_its_definition(seed, digits, limit):
    data = _comparisons(300, seed, digits)
    curve = edc(*data, fmr=0.05, protocol="fiqat")
    points = _fiqat_by_hand(*data, 0.05)
    np.testing.assert_array_equal(curve.discard_fraction, [x for x, _ in points])
    np.testing.assert_allclose(curve.fnmr, [y for _, y in points], atol=1e-15)
    area = sum(
        y * (min(end, limit) - x)
        for (x, y), (end, _) in itertools.pairwise(points)
        if x < limit
    )
    assert pauc(curve, max_discard=limit) == pytest.approx(area, abs=1e-14)


def _by_hand(similarity, mated, quality, fmr, switches):
    """Compute one curve with lists of indices, for every setting of the switches."""
    everything = np.argsort(quality, kind="stable")
    kinds = {True: everything[mated[everything]], False: everything[~mated[everything]]}
    sorted_by_quality = everything if switches.discard == "pooled" else kinds[True]

    def cut(order, count):
        if switches.ties == "group" and count < len(order):
            return set(order[quality[order] < quality[order[count]]].tolist())
        return set(order[:count].tolist())

    def threshold(kept):
        values = {
            kind: similarity[[i for i in order if i in kept]]
            for kind, order in kinds.items()
        }
        if switches.rule == "at_most":
            return threshold_at_fmr(values[False], fmr)
        levels = np.unique(np.concatenate([values[True], values[False]]))
        if switches.rule == "nearest_non_mated":
            levels = np.unique(values[False])
        rates = [np.mean(values[False] >= t) for t in levels]
        return levels[np.argmin(np.abs(np.array(rates) - fmr))]

    total = len(sorted_by_quality)
    fractions = GRID if switches.steps == "grid" else np.arange(total) / total
    points = []
    for place, fraction in enumerate(fractions):
        count = int(fraction * total) if switches.steps == "grid" else place
        gone = cut(sorted_by_quality, count)
        if switches.steps == "all" and len(gone) != count:
            continue  # would split a group of ties
        if switches.discard == "proportional":
            others = len(kinds[False])
            share = (
                int(fraction * others)
                if switches.steps == "grid"
                else count * others // total
            )
            gone |= cut(kinds[False], share)
        kept = set(everything.tolist()) - gone
        level = threshold(kept if switches.threshold == "per_step" else set(everything))
        left = similarity[[i for i in kinds[True] if i in kept]]
        wrong = left < level if switches.operator == "ge" else left <= level
        fnmr = np.mean(wrong) if len(left) else np.nan
        points.append((fraction, fnmr, level, len(left), len(kept) - len(left)))
    return np.array(points).T


SETTINGS = [
    Protocol(*switches)
    for switches in itertools.product(
        ("per_step", "fixed"),
        ("nearest", "at_most", "nearest_non_mated"),
        ("ge", "gt"),
        ("pooled", "mated", "proportional"),
        ("grid", "all"),
        ("listed", "group"),
        ("linear", "step"),
    )
    if switches[0] == "fixed" or switches[4] == "grid"
]


@pytest.mark.parametrize(
    "switches", SETTINGS, ids=lambda s: "-".join(dataclasses.astuple(s))
)
def test_every_setting_equals_its_definition(switches):
    data = _comparisons(60, seed=3, digits=1)
    curve = edc(*data, fmr=0.2, protocol=switches)
    fraction, fnmr, threshold, mated, non_mated = _by_hand(*data, 0.2, switches)
    steps = len(fraction)
    assert len(curve.fnmr) == steps + (switches.steps == "all")
    np.testing.assert_allclose(curve.discard_fraction[:steps], fraction, atol=1e-15)
    np.testing.assert_allclose(curve.fnmr[:steps], fnmr, atol=1e-14)
    np.testing.assert_array_equal(curve.threshold[:steps], threshold)
    np.testing.assert_array_equal(curve.mated_count[:steps], mated)
    np.testing.assert_array_equal(curve.non_mated_count[:steps], non_mated)
    if switches.steps == "all":
        assert (curve.discard_fraction[-1], curve.fnmr[-1]) == (1, 0)
        assert curve.mated_count[-1] == 0


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_nothing_discarded_is_plain_fnmr(protocol):
    similarity, mated, quality = _comparisons(2000)
    curve = edc(similarity, mated, quality, fmr=0.05, protocol=protocol)
    plain = np.mean(
        similarity[mated] <= curve.threshold[0]
        if curve.switches.operator == "gt"
        else similarity[mated] < curve.threshold[0]
    )
    assert curve.fnmr[0] == pytest.approx(plain, abs=1e-15)
    if protocol == "fiqat":
        threshold = threshold_at_fmr(similarity[~mated], 0.05)
        assert curve.fnmr[0] == fnmr_at(similarity[mated], threshold)
    assert (curve.mated_count[0], curve.non_mated_count[0]) == (
        mated.sum(),
        (~mated).sum(),
    )


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_only_orders_matter(protocol):
    similarity, mated, quality = _comparisons()
    plain = edc(similarity, mated, quality, fmr=0.05, protocol=protocol)
    for image in (np.exp, lambda x: x**3, lambda x: 2 * x - 7):
        other = edc(similarity, mated, image(quality), fmr=0.05, protocol=protocol)
        np.testing.assert_array_equal(plain.fnmr, other.fnmr)
        other = edc(image(similarity), mated, quality, fmr=0.05, protocol=protocol)
        np.testing.assert_array_equal(plain.fnmr, other.fnmr)


def test_constant_quality_has_a_constant_curve():
    similarity, mated, _ = _comparisons()
    curve = edc(similarity, mated, np.full(200, 0.3), fmr=0.05, protocol="fiqat")
    np.testing.assert_array_equal(curve.discard_fraction, [0, 1])
    start = curve.fnmr[0]
    assert start > 0
    for limit in (0.2, 0.3, 1.0):
        areas = [
            pauc(curve, max_discard=limit, normalise=how)
            for how in ("none", "range", "start")
        ]
        np.testing.assert_allclose(areas, [start * limit, start, 1])


def test_the_best_quality_has_the_closed_form():
    rng = np.random.default_rng(1)
    mated = np.arange(40_000) < 20_000
    similarity = rng.normal(size=40_000) + 1.5 * mated
    # Quality = similarity: false non-matches of mated comparisons go first.
    curve = edc(similarity, mated, similarity, fmr=0.01, protocol="fiqat")
    start, gone = curve.fnmr[0], curve.discard_fraction[:-1]
    best = np.maximum(0, (start - gone) / (1 - gone))
    np.testing.assert_allclose(curve.fnmr[:-1], best, atol=1e-12)
    limit = 0.3
    assert start > limit
    area = limit + (1 - start) * np.log(1 - limit)
    assert pauc(curve, max_discard=limit) == pytest.approx(area, abs=1e-4)


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_random_quality_is_flat_on_average(protocol):
    rng = np.random.default_rng(2)
    similarity, mated, _ = _comparisons(2000, digits=12)
    curves = [
        edc(similarity, mated, rng.random(2000), fmr=0.1, protocol=protocol)
        for _ in range(200)
    ]
    start = curves[0].fnmr[0]
    for fraction in (0.1, 0.3, 0.5):
        after = [fnmr_after_discard(curve, fraction) for curve in curves]
        tolerance = 4 * np.std(after) / np.sqrt(len(after))
        assert tolerance < 0.1 * start
        # The threshold per step is biased by its steps: half a comparison's share.
        bias = 0.003 if protocol == "crfiqa" else 0
        assert np.mean(after) == pytest.approx(start, abs=tolerance + bias)


def test_lines_and_steps_are_read_as_such():
    similarity, mated, quality = _comparisons(400, digits=12)
    linear = edc(similarity, mated, quality, fmr=0.1)
    halfway = fnmr_after_discard(linear, 0.125)
    assert halfway == pytest.approx((linear.fnmr[2] + linear.fnmr[3]) / 2)
    stepped = edc(
        similarity,
        mated,
        quality,
        fmr=0.1,
        protocol=dataclasses.replace(PROTOCOLS["crfiqa"], interpolation="step"),
    )
    assert stepped.protocol == "custom"
    assert fnmr_after_discard(stepped, 0.125) == linear.fnmr[2]
    # The published grid has 0.15000000000000002 there.
    for curve in (linear, stepped):
        assert fnmr_after_discard(curve, 0.15) == pytest.approx(
            linear.fnmr[3], abs=1e-12
        )
    between = pauc(linear, max_discard=0.125)
    ends = np.append(linear.fnmr[:3], halfway)
    assert between == pytest.approx(np.trapezoid(ends, [0, 0.05, 0.1, 0.125]))
    area = 0.05 * stepped.fnmr[:2].sum() + 0.025 * stepped.fnmr[2]
    assert pauc(stepped, max_discard=0.125) == pytest.approx(area)


def test_no_mated_comparison_left():
    similarity = np.array([0.1, 0.9, 0.3, 0.2] * 10)
    mated = np.array([True, True, False, False] * 10)
    curve = edc(similarity, mated, np.where(mated, 0, 1), fmr=0.1)
    assert curve.mated_count[curve.discard_fraction < 0.5].all()
    is_empty = curve.mated_count == 0
    assert is_empty.any()
    np.testing.assert_array_equal(np.isnan(curve.fnmr), is_empty)
    assert np.isfinite(pauc(curve, max_discard=0.3))
    assert np.isfinite(pauc(curve, max_discard=0.45))
    with pytest.raises(InputError, match=r"at discard fraction 0\.5 is not defined"):
        pauc(curve, max_discard=0.6)


def test_no_non_mated_comparison_left():
    similarity = np.array([0.1, 0.9, 0.3, 0.2] * 10)
    mated = np.array([True, True, False, False] * 10)
    quality = np.where(mated, 1, 0)
    with pytest.warns(RuntimeWarning, match="no non-mated comparison is left at 10 of"):
        curve = edc(similarity, mated, quality, fmr=0.1)
    np.testing.assert_array_equal(np.isnan(curve.fnmr), curve.non_mated_count == 0)
    np.testing.assert_array_equal(np.isnan(curve.threshold), np.isnan(curve.fnmr))
    # A threshold that is fixed has seen them all.
    fixed = dataclasses.replace(PROTOCOLS["crfiqa"], threshold="fixed")
    assert np.isfinite(edc(similarity, mated, quality, protocol=fixed).fnmr).all()


def test_what_makes_no_curve():
    similarity, mated, quality = _comparisons(20)
    bad = quality.copy()
    bad[7] = np.nan
    for arguments, message in (
        ((similarity, mated, bad), r"pair_quality\[7\] is nan, but must be finite"),
        ((bad, mated, quality), r"similarity\[7\] is nan"),
        ((similarity, mated, quality[1:]), r"pair_quality has shape \(19,\)"),
        ((similarity, mated[:, None], quality), r"mated has shape \(20, 1\)"),
        ((similarity, mated & False, quality), "none of 20 comparisons is mated"),
        ((similarity, mated | True, quality), "none of 20 comparisons is non-mated"),
        (([], [], []), "similarity is empty"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            edc(*arguments)
        assert "\n" not in str(caught.value)
    for fmr in (0, 1, -1e-3, 2, float("nan")):
        with pytest.raises(InputError, match=rf"fmr={fmr} is outside \(0, 1\)"):
            edc(similarity, mated, quality, fmr=fmr)


def test_unknown_protocols():
    with pytest.raises(InputError, match=r"did you mean crfiqa\? known: crfiqa"):
        find_protocol("cr-fiqa")
    odd = dataclasses.replace(FIQAT, discard="matted")
    with pytest.raises(
        InputError, match="unknown discard 'matted'; did you mean mated"
    ):
        find_protocol(odd)
    odd = dataclasses.replace(FIQAT, threshold="per_step")
    with pytest.raises(InputError, match='threshold="per_step" goes with steps="grid"'):
        find_protocol(odd)
    assert find_protocol(dataclasses.replace(FIQAT))[0] == "fiqat"


def test_what_has_no_area():
    curve = edc(*_comparisons(), fmr=0.05)
    for limit in (0, -0.1, 1.01, float("nan")):
        with pytest.raises(InputError, match=rf"max_discard={limit} is outside"):
            pauc(curve, max_discard=limit)
    with pytest.raises(InputError, match=r"fraction 0.97 is outside 0 to 0.95"):
        pauc(curve, max_discard=0.97)
    with pytest.raises(
        InputError, match="unknown normalise 'star'; did you mean start"
    ):
        pauc(curve, normalise="star")
    for fraction in (-0.1, 0.96, float("nan")):
        with pytest.raises(InputError, match=r"is outside 0 to 0\.95"):
            fnmr_after_discard(curve, fraction)
    similarity, mated = np.array([0.9, 0.1]), np.array([True, False])
    perfect = edc(similarity, mated, [1, 1], protocol="fiqat")
    assert pauc(perfect) == 0
    with pytest.raises(InputError, match="the FNMR before any discard is 0"):
        pauc(perfect, normalise="start")
