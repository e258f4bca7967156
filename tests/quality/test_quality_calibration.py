"""Masks that need data, or the network, among the qualities."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from toy import toy_backbone

import prefiqs_jax
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import as_folder
from prefiqs_jax.masks import Context, mask_named
from prefiqs_jax.quality import make_scorers, score, score_images

pytestmark = pytest.mark.slow

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
OTHERS = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3), np.uint8)
NAMES = [f"{i}.png" for i in range(6)]


def qualities(mask, **how):
    backbone = toy_backbone()
    made = make_scorers(
        backbone, ["prefiqs", "first-order"], batch_size=6, sparsities=[0.5],
        mask=mask, **how,
    )  # fmt: skip
    found = score_images(made, NAMES, backbone.preprocess(RGB))
    return found, made[0].identity


def test_calibration_images_are_needed_and_used():
    mask = mask_named("output/wanda")
    with pytest.raises(InputError, match="output/wanda needs calibration images; give"):
        qualities(mask)
    found, identity = qualities(mask, calibration=as_folder(OTHERS))
    backbone = toy_backbone()
    context = Context(backbone.apply_fn, backbone.preprocess(OTHERS))
    bound, known = qualities(mask.bind(context))
    for name, values in found.items():
        np.testing.assert_array_equal(values, bound[name])
    assert identity["calibration"]["images"] == 4
    assert identity["masks_sha256"] == known["masks_sha256"]
    assert "calibration" not in known
    _, own = qualities(mask, calibration=as_folder(RGB))
    assert own["masks_sha256"] != identity["masks_sha256"]
    assert own["calibration"]["sha256"] != identity["calibration"]["sha256"]


def test_methods_without_masks_need_none():
    made = make_scorers(
        toy_backbone(), ["norm"], batch_size=6, mask=mask_named("output/wanda")
    )
    assert [scorer.names for scorer in made] == [("norm",)]


def outputs_first(params, images):
    """Compute a dense layer whose outputs are its first axis, as PyTorch has it."""
    return images.reshape(len(images), -1) @ params["fc"].T


def test_axes_are_the_networks_own():
    """``filters`` and ``2:4`` of a PyTorch layout: no data, but the network."""
    weights = np.random.default_rng(2).standard_normal((8, 192)).astype(np.float32)
    first = prefiqs_jax.from_function(outputs_first, {"fc": weights}, (8, 8, 3))
    last = prefiqs_jax.from_function(
        lambda p, x: x.reshape(len(x), -1) @ p["fc"], {"fc": weights.T}, (8, 8, 3)
    )
    for mask in ("filters/l1", "2:4/magnitude", "output/magnitude"):
        both = [
            score_images(
                make_scorers(
                    each, ["prefiqs"], batch_size=6, sparsities=[0.5],
                    mask=mask_named(mask),
                ),
                NAMES,
                each.preprocess(RGB),
            )["prefiqs/0.5"]
            for each in (first, last)
        ]  # fmt: skip
        one, other = both
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("given", [None, OTHERS], ids=["scored", "given"])
def test_score_calibrates(tmp_path, given):
    backbone, mask = toy_backbone(), mask_named("erk/snip")
    count = score(
        backbone, RGB, mask, tmp_path / "s.csv",
        sparsity=0.5, calibration=given, batch_size=6, progress=False,
    )  # fmt: skip
    assert count == 6
    table = pd.read_csv(tmp_path / "s.csv")
    calibration = RGB if given is None else given
    wanted = prefiqs_jax.sweep_arrays(
        backbone, RGB, "erk/snip", [0.5], calibration=calibration
    )
    np.testing.assert_allclose(table["quality"], wanted["quality"], atol=1e-6)
    np.testing.assert_allclose(table["drift"], wanted["drift"], atol=1e-6)
    assert table["image"].astype(str).tolist() == [str(i) for i in range(6)]


def test_a_rule_with_a_context():
    """``(params, sparsity, context)``: bound once, and not again."""
    seen = []

    def rule(params, sparsity, context):
        seen.append(len(context.images))
        return mask_named("global/magnitude")(params, sparsity)

    found, identity = qualities(rule, calibration=as_folder(OTHERS))
    assert seen == [4]
    wanted, _ = qualities(mask_named("global/magnitude"))
    np.testing.assert_array_equal(found["prefiqs/0.5"], wanted["prefiqs/0.5"])
    assert identity["calibration"]["images"] == 4
    context = Context(toy_backbone().apply_fn, OTHERS[:1])
    bound = dataclasses.replace(mask_named("global/random"), mask_fn=rule).bind(context)
    assert bound.is_bound
    qualities(bound, calibration=as_folder(OTHERS))
    assert seen == [4, 1]
