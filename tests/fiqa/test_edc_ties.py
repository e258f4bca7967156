"""Tied qualities: the mean over orders, whatever the order of the list."""

import dataclasses
import itertools

import numpy as np
import pytest

from prefiqs_jax.fiqa import PROTOCOLS, edc, pauc

pytestmark = pytest.mark.filterwarnings("ignore:.* tie in quality at a cut")
CRFIQA = PROTOCOLS["crfiqa"]
LISTED = dataclasses.replace(CRFIQA, ties="listed")


def _comparisons(mated_count, others, levels, seed=0):
    rng = np.random.default_rng(seed)
    mated = np.arange(mated_count + others) < mated_count
    quality = rng.random(len(mated))
    similarity = rng.normal(size=len(mated)) + (1 + 2.5 * quality) * mated
    return similarity, mated, np.floor(levels * quality)


def _shuffled(data, protocol, fmr, orders, seed=1):
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(orders):
        order = rng.permutation(len(data[0]))
        curves.append(edc(*(x[order] for x in data), fmr=fmr, protocol=protocol).fnmr)
    return np.array(curves)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mated", "others", "levels", "fmr"),
    [
        (300, 3000, 1, 1e-3),
        (300, 3000, 5, 1e-3),
        (500, 500, 5, 1e-2),
        (200, 900, 2, 0.1),
    ],
)
@pytest.mark.parametrize("rule", ["nearest", "at_most", "nearest_non_mated"])
def test_a_curve_is_the_mean_of_random_orders(mated, others, levels, fmr, rule):
    data = _comparisons(mated, others, levels)
    protocol = dataclasses.replace(CRFIQA, rule=rule)
    listed = _shuffled(data, dataclasses.replace(protocol, ties="listed"), fmr, 300)
    found = edc(*data, fmr=fmr, protocol=protocol).fnmr
    error = listed.std(axis=0, ddof=1) / np.sqrt(300)
    # Four standard errors, and what the number of mated comparisons that stay, a mean
    # here, leaves: of the order of one of them, as long as there are more than a few.
    off = np.abs(found - listed.mean(axis=0))
    assert (off < 4 * error + 1.5 / mated)[:17].all()
    assert listed.std(axis=0).max() > 5e-3  # what the order of a list is worth
    # The area is within the noise of the mean, a small part of what an order is worth.
    areas = np.trapezoid(listed[:, :7], dx=0.05, axis=1)
    area = np.trapezoid(found[:7], dx=0.05)
    spread = areas.std(ddof=1)
    assert abs(area - areas.mean()) < 4 * spread / np.sqrt(300) + 1e-4


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@pytest.mark.parametrize("levels", [1, 2, 5, 40])
def test_no_protocol_sees_the_order_of_the_list(protocol, levels):
    data = _comparisons(150, 600, levels)
    wanted = edc(*data, fmr=0.02, protocol=protocol)
    similarity, mated, _ = data
    for order in (
        np.argsort(similarity),
        np.argsort(-similarity),
        np.argsort(mated),
        np.random.default_rng(2).permutation(750),
    ):
        found = edc(*(x[order] for x in data), fmr=0.02, protocol=protocol)
        np.testing.assert_array_equal(found.fnmr, wanted.fnmr)
        np.testing.assert_array_equal(found.threshold, wanted.threshold)
        np.testing.assert_array_equal(found.mated_count, wanted.mated_count)


@pytest.mark.filterwarnings("ignore:no non-mated comparison is left")
def test_the_listed_order_is_what_the_curve_was_before():
    similarity, mated, quality = _comparisons(300, 300, 5)
    areas = []
    for order in (np.argsort(~mated, kind="stable"), np.argsort(mated, kind="stable")):
        some = [x[order] for x in (similarity, mated, quality)]
        areas.append(pauc(edc(*some, fmr=0.01, protocol=LISTED)))
    middle = pauc(edc(similarity, mated, quality, fmr=0.01))
    assert areas[0] < middle - 2e-3
    assert middle + 2e-3 < areas[1]
    # A constant quality says nothing: at a fixed threshold its curve is flat.
    for protocol in ("proportional", dataclasses.replace(CRFIQA, threshold="fixed")):
        flat = edc(similarity, mated, np.ones(600), fmr=0.01, protocol=protocol)
        np.testing.assert_allclose(flat.fnmr, flat.fnmr[0], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("steps", ["grid", "all"])
@pytest.mark.parametrize("discard", ["mated", "proportional"])
def test_it_is_exact_where_either_kind_goes_by_itself(discard, steps):
    """Every order of six comparisons of two levels, one by one."""
    rng = np.random.default_rng(3)
    similarity = rng.random(6)
    mated = np.array([1, 1, 1, 0, 0, 0], bool)
    quality = np.array([0, 1, 1, 0, 0, 1.0])
    protocol = dataclasses.replace(
        PROTOCOLS["proportional"], discard=discard, steps=steps
    )
    listed = dataclasses.replace(protocol, ties="listed")
    curves = []
    for order in itertools.permutations(range(6)):
        some = [x[list(order)] for x in (similarity, mated, quality)]
        curves.append(edc(*some, fmr=0.4, protocol=listed).fnmr)
    found = edc(similarity, mated, quality, fmr=0.4, protocol=protocol).fnmr
    np.testing.assert_allclose(found, np.mean(curves, axis=0), atol=1e-12)


def test_without_ties_nothing_changes():
    similarity, mated, _ = _comparisons(400, 800, 1)
    quality = np.random.default_rng(4).permutation(1200)
    for name in ("crfiqa", "proportional"):
        listed = dataclasses.replace(PROTOCOLS[name], ties="listed")
        for fmr in (0.1, 1e-2, 1e-3):
            one = edc(similarity, mated, quality, fmr=fmr, protocol=name)
            other = edc(similarity, mated, quality, fmr=fmr, protocol=listed)
            for mine, theirs in zip(one[:5], other[:5], strict=True):
                np.testing.assert_array_equal(mine, theirs)
            assert one.mated_count.dtype == np.intp
            assert not one.tied_fraction.any()


@pytest.mark.filterwarnings("default:.* tie in quality at a cut")
def test_many_ties_are_told():
    data = _comparisons(400, 400, 5)
    with pytest.warns(
        RuntimeWarning, match=r"2\d\.\d % .* is the mean over their orders"
    ):
        curve = edc(*data, fmr=0.01)
    assert 0.15 < curve.tied_fraction.max() < 0.25
    with pytest.warns(RuntimeWarning, match="depends on the order of the list"):
        edc(*data, fmr=0.01, protocol=LISTED)
    assert not edc(*data, fmr=0.01, protocol="fiqat").tied_fraction.any()
    data = (*data[:2], np.floor(np.arange(800) / 6))  # 0.75 %
    assert 0 < edc(*data, fmr=0.01).tied_fraction.max() <= 0.01


def _orders(similarity, mated, quality, switches, count):
    """Curves of random orders of the list, ties as they are listed there."""
    rng = np.random.default_rng(8)
    listed = dataclasses.replace(switches, ties="listed")
    found = []
    for _ in range(count):
        p = rng.permutation(len(mated))
        curve = edc(similarity[p], mated[p], quality[p], fmr=0.05, protocol=listed)
        found.append(curve)
    return np.array([one.fnmr for one in found]), [one.threshold for one in found]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tie in quality")
@pytest.mark.parametrize(
    ("rule", "operator"),
    [("nearest", "gt"), ("nearest", "ge"), ("nearest_non_mated", "ge")],
)
@pytest.mark.parametrize("case", ["blocks", "integers", "copies"])
def test_tied_similarities_stay_tied_at_a_threshold_per_step(case, rule, operator):
    rng = np.random.default_rng(3)
    if case == "blocks":
        similarity = np.repeat([0.9, 0.1, 0.5, 0.0], [10, 10, 10, 90])
        mated, quality = np.arange(120) < 20, np.ones(120)
    else:
        mated = np.arange(400) < 200
        similarity = rng.normal(np.where(mated, 0.45, 0.05), 0.15)
        quality = rng.integers(0, 3, 400)
        if case == "integers":
            similarity = np.round(20 * similarity)
        else:
            row = rng.integers(0, 400, 400)
            similarity, mated = similarity[row], mated[row]
            quality = quality[row]
    switches = dataclasses.replace(PROTOCOLS["crfiqa"], rule=rule, operator=operator)
    found = edc(similarity, mated, quality, fmr=0.05, protocol=switches)
    fnmr, threshold = _orders(similarity, mated, quality, switches, 300)
    error = fnmr[:, :12].std(0) * np.sqrt(1 / 300 + 1 / 256)
    # Beside chance, less than one comparison of those left.
    allowed = 4 * error + 1 / found.mated_count[:12]
    assert (np.abs(found.fnmr - fnmr.mean(0))[:12] < allowed).all()
    spread = np.std(threshold, axis=0)[:12] * np.sqrt(1 / 300 + 1 / 256)
    off = np.abs(found.threshold - np.mean(threshold, axis=0))[:12]
    assert (off < 4 * spread + 0.02 * np.ptp(similarity)).all()


@pytest.mark.filterwarnings("ignore:.*tie in quality")
@pytest.mark.parametrize("digits", [0, 1, 2])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tied_similarities_leave_no_order_of_the_list(digits, protocol):
    rng = np.random.default_rng(digits)
    mated = np.arange(300) < 150
    similarity = np.round(rng.normal(np.where(mated, 4, 1), 1.5), digits)
    quality = rng.integers(0, 4, 300)
    first = edc(similarity, mated, quality, fmr=0.03, protocol=protocol)
    for _ in range(5):
        p = rng.permutation(300)
        again = edc(similarity[p], mated[p], quality[p], fmr=0.03, protocol=protocol)
        np.testing.assert_allclose(again.fnmr, first.fnmr, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(again.threshold, first.threshold, rtol=1e-12)
