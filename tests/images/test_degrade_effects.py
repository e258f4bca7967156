"""What each degradation does: its size, its place, and what it must leave alone."""

import itertools

import numpy as np
import pytest
from scipy import linalg, ndimage

from prefiqs_jax.images.degrade import degrade, pixels

LEVELS = (0.2, 0.4, 0.6, 0.8, 1)
SEEDS = range(12)


def grey(level, height=112, width=112):
    return np.full((height, width, 3), level, np.uint8)


def spot(y, x, sigma=3.0):
    """Give a soft white spot on black."""
    rows, columns = np.mgrid[:112, :112]
    bright = 250 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 2 / sigma**2)
    return np.repeat(np.rint(bright).astype(np.uint8)[..., None], 3, -1)


def centroid(picture):
    return np.array(ndimage.center_of_mass(picture[..., 0].astype(float)))


def covariance(picture):
    weights = picture[..., 0].astype(float)
    rows, columns = np.nonzero(weights)
    points = np.stack([rows, columns])
    return np.cov(points, aweights=weights[rows, columns], ddof=0)


def _count(mask):
    return np.max(ndimage.label(mask)[0])  # type: ignore[index]


def changed(picture, name, severity, seed=0):
    degraded = degrade(picture, name, severity, seed=seed)
    return abs(degraded.astype(int) - picture).max(-1)


@pytest.mark.parametrize("name", ["gaussian_blur", "motion_blur", "low_resolution"])
def test_blur_leaves_even_colour_alone(name):
    np.testing.assert_array_equal(degrade(grey(77), name, 1), grey(77))


def test_gaussian_blur_has_the_width_it_says():
    before = np.diag(covariance(spot(55.5, 55.5)))
    after = np.diag(covariance(degrade(spot(55.5, 55.5), "gaussian_blur", 1)))
    added = np.sqrt(after - before)
    assert added == pytest.approx([0.06 * 112] * 2, rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_motion_blur_is_a_line_of_the_length_it_says(seed):
    before = spot(55.5, 55.5)
    after = degrade(before, "motion_blur", 1, seed=seed)
    along = np.linalg.eigvalsh(covariance(after) - covariance(before))
    # A line of length L has the variance L² / 12 along, and none across.
    assert np.sqrt(12 * along[1]) == pytest.approx(0.3 * 112, rel=0.05)
    assert abs(along[0]) < 0.6
    assert centroid(after) == pytest.approx([55.5, 55.5], abs=0.05)


def test_motion_blur_keeps_its_direction():
    def direction(severity):
        made = degrade(spot(55.5, 55.5), "motion_blur", severity, seed=4)
        y, x = np.linalg.eigh(covariance(made))[1][:, 1]
        return np.arctan2(y, x) % np.pi

    assert direction(0.4) == pytest.approx(direction(1), abs=0.02)


def test_noise_grows_with_light_and_severity_on_one_field():
    dark, bright = (
        pixels.to_linear(degrade(grey(level), "sensor_noise", 0.2))
        for level in (60, 188)
    )
    assert dark.std() < bright.std()
    fields = [
        degrade(grey(128), "sensor_noise", s, seed=1).astype(float) - 128
        for s in (0.1, 0.3)
    ]
    assert np.corrcoef(fields[0].ravel(), fields[1].ravel())[0, 1] > 0.95
    assert fields[0].std() < 0.5 * fields[1].std()


def test_noise_adds_no_light_where_nothing_is_clipped():
    light = pixels.to_linear(degrade(grey(188), "sensor_noise", 0.3))
    assert light.mean() == pytest.approx(0.503, abs=0.005)


def test_darkness_takes_the_light_it_says():
    light = pixels.to_linear(degrade(grey(255), "darkness", 1 / 3))
    assert light.mean() == pytest.approx(1 / 8, rel=0.02)


def test_darkness_cannot_be_undone():
    ramp = np.repeat(np.arange(112, dtype=np.uint8)[None, :, None] * 2, 112, 0)
    picture = np.repeat(ramp, 3, -1)
    assert len(np.unique(degrade(picture, "darkness", 1))) < 20


def test_over_exposure_gives_the_light_it_says_and_clips():
    made = degrade(grey(100), "over_exposure", 1 / 4.5)
    ratio = pixels.to_linear(made).mean() / pixels.to_linear(grey(100)).mean()
    assert ratio == pytest.approx(2, rel=0.02)
    assert (degrade(grey(100), "over_exposure", 1) == 255).all()
    # No light remains none.
    assert not degrade(grey(0), "over_exposure", 1).any()


def test_low_contrast_keeps_the_mean_and_the_contrast_it_says():
    picture = np.concatenate([grey(20, 56), grey(220, 56)])
    made = degrade(picture, "low_contrast", 0.5)
    # 0.04 ** 0.5 = 0.2 of the 100 levels to either side of 120.
    assert np.unique(made).tolist() == [100, 140]


def test_jpeg_gets_smaller_not_only_different():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (112, 112, 3)).astype(np.uint8)

    def block_detail(severity):
        made = degrade(picture, "jpeg", severity).astype(float).mean(-1)
        blocks = made.reshape(14, 8, 14, 8)
        return (blocks - blocks.mean((1, 3), keepdims=True)).std()

    details = [block_detail(severity) for severity in LEVELS]
    assert np.diff(details).max() < 0
    assert details[-1] < 0.6 * details[0]


def test_low_resolution_leaves_the_pixels_it_says():
    # Eight patterns, all of the same strength.
    coarse = (128 + 60 * linalg.hadamard(8)).astype(np.uint8)
    picture = coarse.repeat(14, 0).repeat(14, 1)[..., None].repeat(3, -1)
    made = degrade(picture, "low_resolution", 1)[..., 0].astype(float)
    # 8 × 8 numbers decide all pixels: the rank is 8, but for rounding to 8 bits.
    values = np.linalg.svd(made, compute_uv=False)
    assert values[7] > 30
    assert values[8] < 10


@pytest.mark.parametrize("name", ["block_occlusion", "face_mask", "sunglasses"])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_what_covers_grows_and_moves_nowhere(name, level):
    for seed in SEEDS:
        levels = [changed(grey(level), name, s, seed) for s in LEVELS]
        for less, more in itertools.pairwise(levels):
            assert (more >= less).all()
            assert more.sum() > less.sum()


def test_block_covers_the_area_it_says_with_one_colour():
    for seed in SEEDS:
        made = degrade(grey(0), "block_occlusion", 0.4, seed=seed)
        share = made.sum((0, 1)) / np.maximum(made.max((0, 1)), 1)
        assert share.max() == pytest.approx((0.4 * 84) ** 2, rel=0.02)


def test_mask_rises_from_the_chin_over_the_mouth_to_the_nose():
    def covered(severity, y, x):
        return changed(grey(128), "face_mask", severity)[round(y), round(x)] > 10

    mouth = [(92.4, 41.5), (92.2, 70.7)]
    assert covered(0.2, 110, 56)
    assert not any(covered(0.2, *corner) for corner in mouth)
    assert all(covered(0.6, *corner) for corner in mouth)
    assert not covered(0.6, 71.7, 56)
    assert covered(1, 71.7, 56)
    assert not covered(1, 51.7, 38.3)
    assert not covered(1, 51.5, 73.5)


def test_mask_is_lit_like_the_picture():
    bright, dark = (
        degrade(grey(level), "face_mask", 1)[90, 56].mean() for level in (200, 60)
    )
    assert dark < 0.5 * bright


def test_glasses_hide_the_eyes_and_nothing_below():
    for seed in SEEDS:
        made = degrade(grey(255), "sunglasses", 1, seed=seed)
        assert made[52, 38].max() < 100
        assert made[52, 74].max() < 100
        assert (made[72:] == 255).all()
        assert (made[:30] == 255).all()


def test_glasses_and_mask_sit_at_the_same_place_in_every_size():
    for name in ("sunglasses", "face_mask"):
        small = changed(grey(255, 56, 84), name, 1) > 60
        large = changed(grey(255), name, 1) > 60
        rows, columns = np.array(ndimage.center_of_mass(small)) + 0.5
        assert np.array(ndimage.center_of_mass(large)) + 0.5 == pytest.approx(
            [2 * rows, columns * 112 / 84], abs=1
        )


@pytest.mark.parametrize("severity", LEVELS)
def test_translation_moves_by_the_distance_it_says(severity):
    for seed in SEEDS:
        made = degrade(spot(55.5, 55.5), "translation", severity, seed=seed)
        moved = np.hypot(*(centroid(made) - 55.5))
        assert moved == pytest.approx(0.08 * 112 * severity, abs=0.1)


@pytest.mark.parametrize("severity", LEVELS)
def test_rotation_turns_by_the_angle_it_says(severity):
    signs = set()
    for seed in SEEDS:
        made = degrade(spot(55.5, 85.5), "rotation", severity, seed=seed)
        y, x = centroid(made) - 55.5
        assert np.hypot(y, x) == pytest.approx(30, abs=0.1)
        assert np.rad2deg(abs(np.arctan2(y, x))) == pytest.approx(
            15 * severity, abs=0.2
        )
        signs.add(np.sign(y))
    assert signs == {-1, 1}


@pytest.mark.parametrize("severity", LEVELS)
def test_scaling_is_by_the_factor_it_says(severity):
    factors = set()
    for seed in SEEDS:
        made = degrade(spot(55.5, 75.5), "scaling", severity, seed=seed)
        y, x = centroid(made) - 55.5
        assert y == pytest.approx(0, abs=0.1)
        assert abs(np.log(x / 20)) == pytest.approx(severity * np.log(1.2), abs=0.02)
        factors.add(bool(x > 20))
    assert factors == {True, False}


@pytest.mark.parametrize("name", ["translation", "rotation", "scaling"])
def test_nothing_dark_and_no_second_face_enters_at_the_borders(name):
    for seed in SEEDS:
        # An even image has no border to be seen.
        np.testing.assert_array_equal(degrade(grey(90), name, 1, seed=seed), grey(90))
        # A mirrored border would show a second mouth, here a spot.
        made = degrade(spot(100, 56, 2), name, 1, seed=seed)[..., 0]
        assert _count(made > 100) <= 1
