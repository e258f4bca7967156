"""Images in memory: the rows of a sweep, with nothing on disk."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from toy import toy_backbone

import prefiqs_jax
from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import as_folder, decode, read_folder
from prefiqs_jax.masks import (
    Context,
    globally,
    layerwise,
    magnitude,
    mask_named,
    noise,
    pruning_delta,
    quantised,
)
from prefiqs_jax.sensitivity import drift, embedding_jvp
from prefiqs_jax.sweep import SweepOptions, measure_images, sweep, sweep_arrays
from prefiqs_jax.trees import map_named

pytestmark = pytest.mark.slow

NUMBERS = ["first_order", "drift", "cosine", "residual", "quality"]
SPARSITIES = [0.1, 0.3, 0.5]
OPTIONS = SweepOptions(batch_size=4, progress=False, tune="never")


@pytest.fixture
def rgb(pictures):
    """Give the images of the folder as one array, and their names."""
    folder = read_folder(pictures)
    pixels = np.stack([decode(pictures / name).pixels for name in folder.names])
    return pixels, folder.names


def equal(one, other, atol=1e-7):
    for column in ("image", "mask", "sparsity", "achieved_sparsity"):
        assert one[column].tolist() == other[column].tolist()
    for column in NUMBERS:
        np.testing.assert_allclose(one[column], other[column], rtol=0, atol=atol)


@pytest.mark.parametrize("mask", ["global/magnitude", "output/wanda", "erk/snip"])
def test_the_rows_of_a_sweep_and_of_measure_images(
    backbone, pictures, rgb, tmp_path, mask
):
    pixels, names = rgb
    found = sweep_arrays(backbone, pixels, mask, SPARSITIES, names=names, batch_size=4)
    run = sweep(
        backbone, pictures, mask_named(mask), SPARSITIES, tmp_path / "run",
        options=OPTIONS,
    )  # fmt: skip
    assert list(found.columns) == list(results.COLUMNS)
    equal(found, results.read(run))
    measured = measure_images(
        backbone.apply_fn,
        backbone.params,
        mask_named(mask),
        SPARSITIES,
        backbone.preprocess(pixels),
        names=names,
        backbone=backbone.name,
        batch_size=4,
    )
    equal(found, measured)
    assert set(measured["backbone"]) == {backbone.name}


@pytest.mark.parametrize("mask", ["global/magnitude", "output/wanda"])
def test_double_precision_without_x64(backbone, pictures, rgb, tmp_path, mask):
    """As users call it, whose JAX computes in float32 unless told otherwise."""
    pixels, names = rgb
    options = dataclasses.replace(OPTIONS, precision="double")
    with jax.enable_x64(False):
        found, single = (
            sweep_arrays(
                backbone, pixels, mask, SPARSITIES, names=names, precision=precision
            )
            for precision in ("double", "highest")
        )
        run = sweep(
            backbone, pictures, mask_named(mask), SPARSITIES, tmp_path / "run",
            options=options,
        )  # fmt: skip
    assert found["drift"].dtype == np.float64
    equal(found, results.read(run), atol=1e-13)
    assert np.abs(found["drift"].to_numpy() - single["drift"].to_numpy()).max() > 1e-9


def test_several_masks_are_each_alone(backbone, rgb):
    pixels, _ = rgb
    masks = ["global/magnitude", "output/wanda", "filters/l2", globally(magnitude)]
    with pytest.raises(InputError, match="mask global/magnitude is given twice"):
        sweep_arrays(backbone, pixels, masks, SPARSITIES)
    masks.pop()
    together = sweep_arrays(backbone, pixels, masks, SPARSITIES)
    for mask in masks:
        alone = sweep_arrays(backbone, pixels, mask, SPARSITIES)
        mine = together.loc[together["mask"] == mask].reset_index(drop=True)
        equal(mine, alone, atol=1e-6)
    assert len(together) == len(pixels) * len(masks) * len(SPARSITIES)


def test_names_of_masks_images_and_people(backbone, rgb):
    pixels, _ = rgb
    masks = {"mine": globally(magnitude), "theirs": "layerwise/magnitude"}
    found = sweep_arrays(
        backbone, pixels[:2], masks, [0.5], names=["a", "b"], identities=["x", None]
    )
    assert found["mask"].tolist() == ["mine", "theirs"] * 2
    assert found["image"].tolist() == ["a", "a", "b", "b"]
    assert found["identity"].isna().tolist() == [False, False, True, True]
    alone = sweep_arrays(backbone, pixels[:2], layerwise(magnitude), [0.5])
    theirs = found.loc[found["mask"] == "theirs", "drift"]
    np.testing.assert_allclose(theirs, alone["drift"], atol=1e-6)
    assert alone["image"].tolist() == ["0", "1"]


def linear(params, images):
    return images.reshape(len(images), -1) @ params["fc"]


def test_a_linear_network_in_closed_form():
    """Embedding z = f / ‖f‖, f = x W; Jδ = (f' - z ⟨z, f'⟩) / ‖f‖ with f' = x δ."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((27, 5))
    backbone = prefiqs_jax.from_function(
        linear, {"fc": weights.astype(np.float32)}, (3, 3, 3)
    )
    images = rng.standard_normal((6, 3, 3, 3)).astype(np.float32)
    found = sweep_arrays(backbone, images, "global/magnitude", [0.4])
    weights = weights.astype(np.float32).astype(np.float64)
    x = images.reshape(6, 27).astype(np.float64)
    order = np.argsort(np.abs(weights).ravel(), kind="stable")[: round(0.4 * 135)]
    delta = np.zeros(135)
    delta[order] = -weights.ravel()[order]
    delta = delta.reshape(27, 5)
    raw, moved = x @ weights, x @ delta
    norm = np.linalg.norm(raw, axis=1, keepdims=True)
    z, pruned = raw / norm, raw + moved
    jvp = (moved - z * np.sum(z * moved, axis=1, keepdims=True)) / norm
    displacement = pruned / np.linalg.norm(pruned, axis=1, keepdims=True) - z
    for column, wanted in (
        ("first_order", np.linalg.norm(jvp, axis=1)),
        ("drift", np.linalg.norm(displacement, axis=1)),
        ("residual", np.linalg.norm(displacement - jvp, axis=1)),
    ):
        np.testing.assert_allclose(found[column], wanted, rtol=2e-5, atol=1e-6)
    assert found["achieved_sparsity"].tolist() == [54 / 135] * 6


def test_a_mask_given_as_its_delta(backbone, rgb):
    pixels, _ = rgb
    mask = globally(magnitude)
    delta = pruning_delta(backbone.params, mask(backbone.params, 0.3))
    found = sweep_arrays(backbone, pixels, mask, [0.3], deltas={"same": delta})
    one, other = (
        found.loc[found["mask"] == name].reset_index(drop=True)
        for name in ("global/magnitude", "same")
    )
    for column in NUMBERS:
        np.testing.assert_allclose(one[column], other[column], rtol=0, atol=1e-7)
    assert other["sparsity"].tolist() == one["achieved_sparsity"].tolist()
    assert other["achieved_sparsity"].tolist() == one["achieved_sparsity"].tolist()


@pytest.mark.parametrize("bits", [8, 4])
def test_quantisation(backbone, rgb, bits):
    images = backbone.preprocess(rgb[0])
    delta = quantised(backbone.params, bits)
    found = sweep_arrays(backbone, images, deltas={"int": delta})
    apply_fn, params = backbone.apply_fn, backbone.params
    jvp = embedding_jvp(apply_fn, params, delta, images)[1]
    np.testing.assert_allclose(
        found["first_order"], np.linalg.norm(jvp, axis=1), atol=1e-6
    )
    np.testing.assert_allclose(
        found["drift"], drift(apply_fn, params, delta, images), atol=1e-6
    )
    finer = sweep_arrays(backbone, images, deltas={"int": quantised(params, bits + 2)})
    means = [each["drift"].to_numpy().mean() for each in (finer, found)]
    assert means[0] < means[1] / 2


def test_noise_is_linear_to_first_order(backbone, rgb):
    small, large = (noise(backbone.params, size, seed=3) for size in (1e-3, 1e-2))
    found = sweep_arrays(backbone, rgb[0], deltas={"small": small, "large": large})
    first = {n: t["first_order"].to_numpy() for n, t in found.groupby("mask")}
    np.testing.assert_allclose(first["large"], 10 * first["small"], rtol=1e-3)
    assert set(found["sparsity"]) == {0.0}
    table = measure_images(
        backbone.apply_fn,
        backbone.params,
        None,
        (),
        backbone.preprocess(rgb[0]),
        deltas={"small": small},
    )
    np.testing.assert_allclose(table["first_order"], first["small"], atol=1e-7)


def test_a_mask_and_deltas_of_measure_images(backbone, rgb):
    """The rows of the mask come first, those of the change after them."""
    images = backbone.preprocess(rgb[0])
    parts = (backbone.apply_fn, backbone.params)
    delta = quantised(backbone.params, 4)
    both = measure_images(
        *parts, globally(magnitude), [0.5], images, deltas={"int4": delta}
    )
    count = len(images)
    assert both["mask"].tolist() == ["global/magnitude"] * count + ["int4"] * count
    alone = measure_images(*parts, None, (), images, deltas={"int4": delta})
    equal(both.iloc[count:].reset_index(drop=True), alone)


def test_rgb_and_floats(backbone, rgb):
    pixels, _ = rgb
    one = sweep_arrays(backbone, pixels, "global/magnitude", [0.5])
    other = sweep_arrays(
        backbone, backbone.preprocess(pixels), "global/magnitude", [0.5]
    )
    pd.testing.assert_frame_equal(one, other)
    swapped = sweep_arrays(backbone, pixels[..., ::-1], "global/magnitude", [0.5])
    assert np.abs(one["drift"] - swapped["drift"]).max() > 1e-4


def test_calibration(backbone, rgb):
    """Masks are made from the calibration images, and the rows are of the others."""
    pixels, _ = rgb
    apart = sweep_arrays(
        backbone, pixels[:5], "output/wanda", [0.5], calibration=pixels[5:]
    )
    context = Context(backbone.apply_fn, backbone.preprocess(pixels[5:]))
    bound = mask_named("output/wanda").bind(context).mask_fn
    assert bound(backbone.params, 0.5)["fc"]["kernel"].any()
    equal(apart, sweep_arrays(backbone, pixels[:5], bound, [0.5], calibration=None))
    own = sweep_arrays(backbone, pixels[:5], "output/wanda", [0.5])
    assert np.abs(own["drift"] - apart["drift"]).max() > 1e-5


def test_at_most_256_images_calibrate(backbone):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 8, 8, 3), np.uint8)
    places = np.unique(np.linspace(0, 299, 256).round().astype(int))
    whole = sweep_arrays(
        backbone, pixels[:3], "output/wanda", [0.5], calibration=pixels
    )
    chosen = sweep_arrays(
        backbone, pixels[:3], "output/wanda", [0.5], calibration=pixels[places]
    )
    pd.testing.assert_frame_equal(whole, chosen)


def test_movement_needs_the_earlier_weights(backbone, rgb):
    before = jax.tree.map(lambda w: -w, backbone.params)
    with pytest.raises(InputError, match="give the weights of the earlier one"):
        sweep_arrays(backbone, rgb[0], "global/movement", [0.5])
    # w (w + w): twice the square, which orders weights as their magnitude does.
    found = sweep_arrays(backbone, rgb[0], "global/movement", [0.5], earlier=before)
    wanted = sweep_arrays(backbone, rgb[0], "global/magnitude", [0.5])
    np.testing.assert_allclose(found["drift"], wanted["drift"], atol=1e-7)


def emptying(params, sparsity):
    """Prune a whole layer."""
    return map_named(
        lambda name, w: np.full(np.shape(w), name != "depthwise/kernel"), params
    )


def test_emptied_layers_are_named(backbone, rgb):
    told = "emptying at sparsity 0.5 prunes all of depthwise/kernel"
    with pytest.warns(UserWarning, match=told):
        sweep_arrays(backbone, rgb[0], [emptying, "global/magnitude"], [0.5])


def zero(params):
    return jax.tree.map(jnp.zeros_like, params)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda b: {}, "nothing to measure: give masks and sparsities, or deltas"),
        (lambda b: {"masks": "erk/magnitude"}, "no sparsities given"),
        (lambda b: {"sparsities": [0.5], "deltas": {"d": zero(b.params)}},
         "sparsities are of masks, and there is none"),
        (lambda b: {"masks": "erk/magnitude", "sparsities": [0.5, 0.5]},
         "sparsity 0.5 is given twice"),
        (lambda b: {"masks": "erk/magnitude", "sparsities": [1.0]},
         r"sparsity 1\.0 is outside"),
        (lambda b: {"masks": "erk/magnitud", "sparsities": [0.5]}, "did you mean erk/"),
        (lambda b: {"masks": "2:4/magnitude", "sparsities": [0.3]}, "2:4.* 0.5|0.5"),
        (lambda b: {"deltas": {"d": {"w": np.zeros(3)}}}, "^d: .*structure"),
        (lambda b: {"deltas": {"d": jax.tree.map(lambda w: w * np.nan, b.params)}},
         "d: the change of .* is not finite"),
        (lambda b: {"masks": {"d": "erk/magnitude"}, "sparsities": [0.5],
                    "deltas": {"d": zero(b.params)}}, "d is the name of a mask and"),
        (lambda b: {"masks": "erk/magnitude", "sparsities": [0.5], "names": ["a"]},
         "3 images, 1 names"),
        (lambda b: {"masks": "erk/magnitude", "sparsities": [0.5],
                    "images": np.zeros((3, 8, 8, 3), np.int32)}, "images are int32"),
        (lambda b: {"masks": "erk/magnitude", "sparsities": [0.5],
                    "images": np.zeros((3, 9, 8, 3), np.float32)},
         r"shape \(3, 9, 8, 3\); give uint8 RGB images, or floats"),
        (lambda b: {"masks": "erk/magnitude", "sparsities": [0.5],
                    "images": np.zeros((8, 8, 3), np.float32)}, r"shape \(8, 8, 3\)"),
        (lambda b: {"masks": "erk/magnitude", "sparsities": [0.5],
                    "images": np.zeros((0, 8, 8, 3), np.uint8)}, "at least one image"),
        (lambda b: {"masks": "output/wanda", "sparsities": [0.5],
                    "calibration": np.zeros((0, 8, 8, 3), np.uint8)},
         "no calibration images"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured(backbone, rgb, how, told):
    given = {"images": rgb[0][:3], **how(backbone)}
    with pytest.raises(InputError, match=told) as caught:
        sweep_arrays(backbone, **given)
    assert "\n" not in str(caught.value)


def test_arrays_into_a_run_folder(backbone, rgb, tmp_path):
    """The identity of images in memory is their pixels and names."""
    pixels, _ = rgb
    mask = mask_named("global/magnitude")

    def run(images):
        return sweep(backbone, images, mask, [0.5], tmp_path / "run", options=OPTIONS)

    found = results.read(run(pixels))
    equal(found, sweep_arrays(backbone, pixels, mask, [0.5],
                              names=as_folder(pixels).names, batch_size=4))  # fmt: skip
    run(pixels.copy())  # complete already
    other = pixels.copy()
    other[3, 2, 1, 0] ^= 1
    with pytest.raises(InputError, match="made with other images: images_sha256"):
        run(other)
    manifest = results.read_manifest(tmp_path / "run")
    assert manifest["images"]["folder"] is None


def test_a_context_of_the_users_own_stays(rgb, pictures, tmp_path):
    """A sweep does not calibrate anew what is calibrated already."""
    backbone = toy_backbone()
    other = np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)
    context = Context(backbone.apply_fn, other)
    bound = mask_named("output/wanda").bind(context).mask_fn
    run = sweep(backbone, pictures, bound, [0.5], tmp_path / "run", options=OPTIONS)
    settings = results.read_manifest(run)["settings"]
    assert "calibration" not in settings
    wanted = sweep_arrays(backbone, rgb[0], bound, [0.5], names=rgb[1], batch_size=4)
    equal(results.read(run), wanted)
