"""What holds for every degradation: exact at 0, worse step by step, reproducible."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder
from prefiqs_jax.images.degrade import DEGRADATIONS, degrade

NAMES = [
    "gaussian_blur",
    "motion_blur",
    "sensor_noise",
    "jpeg",
    "low_resolution",
    "darkness",
    "over_exposure",
    "low_contrast",
    "block_occlusion",
    "face_mask",
    "sunglasses",
    "translation",
    "rotation",
    "scaling",
]
RANDOM = [
    "motion_blur",
    "sensor_noise",
    "darkness",
    "block_occlusion",
    "face_mask",
    "sunglasses",
    "translation",
    "rotation",
    "scaling",
]
LEVELS = (0, 0.2, 0.4, 0.6, 0.8, 1)

every_degradation = pytest.mark.parametrize("name", NAMES)


def smooth(count, height=112, width=112):
    """Give images of soft blobs, from black to white, none like another."""
    rng = np.random.default_rng(7)
    noise = rng.normal(size=(count, height, width, 3))
    sigma = np.sqrt(height * width) / 28
    blobs = ndimage.gaussian_filter(noise, (0, sigma, sigma, 0), mode="nearest")
    low = blobs.min((1, 2), keepdims=True)
    high = blobs.max((1, 2), keepdims=True)
    return np.rint(255 * (blobs - low) / (high - low)).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures():
    return smooth(6)


@pytest.fixture(scope="module")
def faces(shared):
    folder = read_folder(shared("faces/lfw100"))
    chosen = folder.names[::8]
    return np.stack([np.asarray(Image.open(folder.root / name)) for name in chosen])


def differences(pictures, name):
    """Give the mean absolute difference to the original at each severity, of 255."""
    original = pictures.astype(float)
    return [abs(degrade(pictures, name, s) - original).mean() for s in LEVELS]


def test_names():
    assert list(DEGRADATIONS) == NAMES


@every_degradation
def test_says_in_one_line_what_it_does(name):
    first, blank = (DEGRADATIONS[name].__doc__ or "").splitlines()[:2]
    assert first.endswith(".")
    assert not blank


@every_degradation
def test_severity_0_is_the_picture_bit_for_bit(pictures, name):
    np.testing.assert_array_equal(degrade(pictures, name, 0), pictures)


@every_degradation
def test_gets_worse_step_by_step(pictures, name):
    assert differences(pictures, name)[0] == 0
    assert np.diff(differences(pictures, name)).min() > 0.2


@every_degradation
def test_gets_worse_step_by_step_on_faces(faces, name):
    steps = np.diff(differences(faces, name))
    assert steps.min() > 0.2
    # No single step does it all.
    assert steps.max() < 0.7 * steps.sum()


@every_degradation
def test_starts_without_a_jump(pictures, name):
    # JPEG loses something at any quality; here it starts at 80.
    limit = 3.0 if name == "jpeg" else 0.2
    change = abs(degrade(pictures, name, 0.001) - pictures.astype(float)).mean()
    assert change < limit


@every_degradation
def test_shape_dtype_and_input_are_kept(pictures, name):
    before = pictures.copy()
    degraded = degrade(pictures, name, 0.7)
    assert degraded.shape == pictures.shape
    assert degraded.dtype == np.uint8
    assert not np.shares_memory(degraded, pictures)
    np.testing.assert_array_equal(pictures, before)
    # Not even 0 may hand out the caller's own array.
    assert not np.shares_memory(degrade(pictures, name, 0), pictures)


@every_degradation
def test_read_only_pictures_work(pictures, name):
    frozen = pictures[:1].copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(
        degrade(frozen, name, 0.5), degrade(pictures[:1], name, 0.5)
    )


@every_degradation
@pytest.mark.parametrize("size", [(96, 80), (40, 64), (224, 224)])
def test_any_size(name, size):
    steps = np.diff(differences(smooth(3, *size), name))
    assert steps.min() > 0


@every_degradation
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 2)])
def test_sizes_too_small_to_mean_anything_do_not_fail(name, size):
    pictures = np.full((1, *size, 3), 90, np.uint8)
    assert degrade(pictures, name, 1).shape == pictures.shape


@pytest.mark.parametrize("name", [name for name in NAMES if name != "jpeg"])
def test_strength_scales_with_the_side(pictures, name):
    small = np.stack(
        [np.asarray(Image.fromarray(p).resize((56, 56))) for p in pictures]
    )
    large = differences(pictures, name)[-1]
    assert differences(small, name)[-1] == pytest.approx(large, rel=0.2)


@every_degradation
def test_same_again(pictures, name):
    first = degrade(pictures, name, 0.5, seed=3)
    np.testing.assert_array_equal(first, degrade(pictures, name, 0.5, seed=3))


def test_same_in_another_process():
    program = (
        "import hashlib, numpy as np\n"
        "from prefiqs_jax.images.degrade import DEGRADATIONS, degrade\n"
        "image = np.arange(24 * 24 * 3).reshape(24, 24, 3).astype(np.uint8)\n"
        "made = [degrade(image, name, 0.5, seed=2) for name in DEGRADATIONS]\n"
        "print(hashlib.sha256(np.stack(made)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("name", RANDOM)
def test_seeds_and_places_differ(pictures, name):
    alike = np.stack([pictures[0]] * 8)
    # Some draw from a few choices only: not all of eight may be equal.
    assert np.ptp(degrade(alike, name, 0.5).astype(int), axis=0).any()
    seeded = np.stack([degrade(pictures[0], name, 0.5, seed=s) for s in range(8)])
    assert np.ptp(seeded.astype(int), axis=0).any()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RANDOM])
def test_nothing_else_depends_on_the_seed(pictures, name):
    np.testing.assert_array_equal(
        degrade(pictures, name, 0.5), degrade(pictures, name, 0.5, seed=99)
    )


@every_degradation
def test_draws_the_same_number_at_every_severity(pictures, name):
    states = []
    for severity in LEVELS[1:]:
        rng = np.random.default_rng(1)
        DEGRADATIONS[name](pictures[0], severity, rng)
        states.append(rng.bit_generator.state)
    assert all(state == states[0] for state in states)


def test_degradations_draw_independently(monkeypatch):
    drawn = []

    def record(picture, severity, rng):
        drawn.append(rng.uniform())
        return picture

    for name in ("a", "b"):
        monkeypatch.setitem(DEGRADATIONS, name, record)
        degrade(np.zeros((2, 8, 8, 3), np.uint8), name, 1)
        degrade(np.zeros((2, 8, 8, 3), np.uint8), name, 0.1)
    assert drawn[:2] == drawn[2:4]
    assert drawn[4:6] == drawn[6:]
    assert len(set(drawn)) == 4


@every_degradation
def test_own_seeds_make_a_picture_independent_of_its_batch(pictures, name):
    seeds = [5, 0, 8, 2, 9, 4]
    together = degrade(pictures, name, 0.6, seed=seeds)
    turned = degrade(pictures[::-1], name, 0.6, seed=seeds[::-1])
    np.testing.assert_array_equal(turned[::-1], together)
    for picture, seed, made in zip(pictures, seeds, together, strict=True):
        np.testing.assert_array_equal(degrade(picture, name, 0.6, seed=seed), made)


def test_one_seed_does_not_look_at_the_batch_mates(pictures):
    made = degrade(pictures, "sensor_noise", 0.6, seed=5)
    others = pictures.copy()
    others[[0, 2]] = 0
    again = degrade(others[:4], "sensor_noise", 0.6, seed=5)
    np.testing.assert_array_equal(again[[1, 3]], made[[1, 3]])


def test_one_severity_per_picture(pictures):
    severities = np.array(LEVELS)
    made = degrade(pictures, "motion_blur", severities)
    for index, severity in enumerate(LEVELS):
        alone = degrade(pictures, "motion_blur", severity)[index]
        np.testing.assert_array_equal(made[index], alone)


def test_an_empty_batch_stays_empty():
    empty = np.empty((0, 8, 8, 3), np.uint8)
    assert degrade(empty, "jpeg", 0.5).shape == empty.shape
    assert degrade(empty, "jpeg", [], seed=[]).shape == empty.shape


def test_a_new_degradation_is_a_function_and_an_entry(monkeypatch, pictures):
    def too_red(picture, severity, rng):
        """Shift towards red, out of range and between the levels."""
        return picture + severity * np.array([400.4, 0.4, -400])

    monkeypatch.setitem(DEGRADATIONS, "too_red", too_red)
    made = degrade(pictures, "too_red", 1)
    assert (made[..., 0] == 255).all()
    np.testing.assert_array_equal(made[..., 1], pictures[..., 1])
    assert not made[..., 2].any()


PICTURES = np.zeros((2, 8, 8, 3), np.uint8)


@pytest.mark.parametrize(
    ("arguments", "options", "line"),
    [
        (
            (PICTURES, "gausian_blur", 0.5),
            {},
            "unknown degradation 'gausian_blur'; did you mean gaussian_blur? known: "
            + ", ".join(NAMES),
        ),
        (
            (PICTURES, "xyz", 0.5),
            {},
            "unknown degradation 'xyz'; known: " + ", ".join(NAMES),
        ),
        ((PICTURES, "jpeg", 1.5), {}, "severity is 1.5; it must be from 0 to 1"),
        ((PICTURES, "jpeg", [0, -1]), {}, "severity is -1; it must be from 0 to 1"),
        ((PICTURES, "jpeg", np.nan), {}, "severity is nan; it must be from 0 to 1"),
        (
            (PICTURES, "jpeg", "much"),
            {},
            "severity is 'much'; it must be a number from 0 to 1",
        ),
        (
            (PICTURES, "jpeg", [0.1, 0.2, 0.3]),
            {},
            "3 of severity for 2 images; give one number, or one per image",
        ),
        (
            (PICTURES, "jpeg", [[0.1, 0.2]]),
            {},
            "severity of (1, 2) for 2 images; give one number, or one per image",
        ),
        (
            (PICTURES, "jpeg", 0.5),
            {"seed": [1]},
            "1 of seed for 2 images; give one number, or one per image",
        ),
        (
            (PICTURES, "jpeg", 0.5),
            {"seed": -1},
            "seed is -1; it must be a whole number of at least 0",
        ),
        (
            (PICTURES, "jpeg", 0.5),
            {"seed": [1, 0.5]},
            "seed is 0.5; it must be a whole number of at least 0",
        ),
        (
            (PICTURES / 255, "jpeg", 0.5),
            {},
            "images are float64; they must be uint8, from 0 to 255",
        ),
        (
            (PICTURES[..., :1], "jpeg", 0.5),
            {},
            "images have the shape (2, 8, 8, 1); it must be (batch, height, width, "
            "3) or (height, width, 3)",
        ),
        (
            (PICTURES[0, 0], "jpeg", 0.5),
            {},
            "images have the shape (8, 3); it must be (batch, height, width, 3) or "
            "(height, width, 3)",
        ),
        (
            (PICTURES[:, :0], "jpeg", 0.5),
            {},
            "images have the shape (2, 0, 8, 3); they have no pixels",
        ),
    ],
)
def test_errors(arguments, options, line):
    with pytest.raises(InputError) as caught:
        degrade(*arguments, **options)
    assert str(caught.value) == line
