"""Scorers as a whole: right numbers, the same in any batch and order; refusals."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from quality.quality_networks import PROVENANCE, draw_images, opened, tiny_iresnet
from toy import toy_backbone

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.batches import in_batches
from prefiqs_jax.execution.slices import in_slices
from prefiqs_jax.masks import globally, layerwise, magnitude, pruning_delta
from prefiqs_jax.quality import METHODS, Draws, image_seeds, make_scorers
from prefiqs_jax.sensitivity import drift, first_order

NAMES = ["anna/1.png", "anna/2.png", "ben/1.png", "ben/2.png", "ben/3.png"]
SEEDS = image_seeds(NAMES)
SPARSITIES = (0.2, 0.5)
FEW = Draws(seed=2, serfiq_passes=4, faceqan_samples=2, faceqan_steps=2)


def making(backbone, methods, **options):
    """Make a function of (images, seeds) that gives all outputs of the methods."""
    options = {"batch_size": 3, "sparsities": SPARSITIES, "draws": FEW} | options
    made = make_scorers(backbone, methods, **options)

    def call(images, seeds=SEEDS):
        found = {}
        for scorer in made:
            given = scorer.call(images, seeds)
            assert tuple(given) == scorer.names
            assert not given.keys() & found.keys()
            found |= given
        for quality in found.values():
            assert quality.dtype == np.float64
            assert quality.shape == (len(images),)
        return found

    return call


def scores(backbone, methods, images, seeds=SEEDS, **options):
    return making(backbone, methods, **options)(images, seeds)


@pytest.fixture(scope="module")
def toy_images():
    return draw_images(5, (8, 8))


def expected_by_definition(backbone, images, mask_fn):
    """Give both PreFIQs qualities one sparsity at a time, by the library's maths."""
    expected = {}
    for sparsity in SPARSITIES:
        delta = pruning_delta(backbone.params, mask_fn(backbone.params, sparsity))
        args = (backbone.apply_fn, backbone.params, delta, jnp.asarray(images))
        expected[f"prefiqs/{sparsity}"] = 1 - np.asarray(drift(*args)) / 2
        expected[f"first-order/{sparsity}"] = -np.asarray(first_order(*args))
    raw = backbone.apply_fn(backbone.params, images)
    return expected | {"norm": np.linalg.norm(raw, axis=1)}


@pytest.mark.slow
@pytest.mark.parametrize(
    "methods",
    [
        ["norm", "prefiqs"],
        ["first-order", "norm"],
        ["prefiqs", "norm", "first-order"],
    ],
)
def test_pruning_scores(methods, toy_images):
    backbone = toy_backbone()
    found = scores(backbone, methods, toy_images)
    expected = expected_by_definition(backbone, toy_images, globally(magnitude))
    assert {name.partition("/")[0] for name in found} == set(methods)
    assert len(found) == 1 + 2 * (len(methods) - 1)
    for name, quality in found.items():
        np.testing.assert_allclose(quality, expected[name], rtol=2e-5, err_msg=name)


@pytest.mark.slow
def test_another_mask(toy_images):
    backbone, mask = toy_backbone(), layerwise(magnitude)
    found = scores(backbone, ["prefiqs"], toy_images, mask=mask)
    expected = expected_by_definition(backbone, toy_images, mask)
    other = expected_by_definition(backbone, toy_images, globally(magnitude))
    for name, quality in found.items():
        np.testing.assert_allclose(quality, expected[name], rtol=2e-5)
        assert np.abs(quality - other[name]).max() > 1e-3


def test_quality_head(toy_images):
    backbone = dataclasses.replace(
        toy_backbone(), quality_head=lambda raw: raw @ jnp.arange(6, dtype=raw.dtype)
    )
    found = scores(backbone, ["crfiqa", "norm", "prefiqs"], toy_images)
    raw = np.asarray(backbone.apply_fn(backbone.params, toy_images))
    np.testing.assert_allclose(found["crfiqa"], raw @ np.arange(6), rtol=1e-4)
    assert len(found) == 2 + len(SPARSITIES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "methods", "size"),
    [
        (tiny_iresnet, ["grafiqs", "serfiq"], (112, 112)),
        (toy_backbone, ["faceqan", "random", "norm"], (8, 8)),
    ],
)
def test_scores_depend_on_the_image_alone(make, methods, size):
    images, seeds = draw_images(3, size), SEEDS[:3]
    call = making(make(), methods, batch_size=2)
    whole = call(images, seeds)  # two and a filled-up one
    order = [2, 0, 1]
    turned = call(images[order], seeds[order])
    alone = call(images[1:2], seeds[1:2])
    for name, quality in whole.items():
        assert len(set(quality)) == 3
        assert (quality < 0).all() == name.startswith("grafiqs")
        np.testing.assert_allclose(turned[name], quality[order], rtol=1e-4)
        np.testing.assert_allclose(alone[name], quality[1:2], rtol=1e-4)
    if "grafiqs" in methods:
        outputs = ["image", "block1", "block2", "block3", "block4"]
        assert list(whole)[:5] == [f"grafiqs/{output}" for output in outputs]


def test_another_batch_size_or_seed(toy_images):
    backbone = toy_backbone()
    found = [
        scores(backbone, ["norm", "random"], toy_images, batch_size=size, draws=draws)
        for size, draws in ((2, FEW), (4, FEW), (4, dataclasses.replace(FEW, seed=3)))
    ]
    for name in ("norm", "random"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-5)
    assert (found[1]["random"] != found[2]["random"]).all()
    by_seed = scores(backbone, ["random"], toy_images, draws=None, seed=2)
    np.testing.assert_array_equal(by_seed["random"], found[0]["random"])


def test_random_is_uniform():
    seeds = image_seeds(f"person_{i}.png" for i in range(2000))
    backbone = toy_backbone()
    (scorer,) = make_scorers(backbone, ["random"], batch_size=1)
    drawn = np.sort(scorer.call(np.zeros((2000, 8, 8, 3)), seeds)["random"])
    # Kolmogorov-Smirnov at one in 10⁵ for 2,000 draws.
    assert np.abs(drawn - (np.arange(2000) + 0.5) / 2000).max() < 2.5 / np.sqrt(2000)


def test_slices_change_nothing():
    def function(weights, images, seeds):
        return jnp.stack([images.sum((1, 2, 3)) * weights, seeds.astype(jnp.float32)])

    images, seeds = draw_images(12, (4, 4)), np.arange(12, dtype=np.uint32)
    plain = in_batches(function, np.float32(2), 12)(images, seeds)
    cut = in_batches(in_slices(function, 4, axis=-1), np.float32(2), 12)(images, seeds)
    np.testing.assert_allclose(cut, plain, rtol=1e-4)
    np.testing.assert_array_equal(plain[1], seeds)


@pytest.mark.parametrize(
    ("methods", "options", "words"),
    [
        ([], {}, "no method is given"),
        (["serfik"], {}, "unknown method 'serfik'; did you mean serfiq?"),
        (["norm", "norm"], {}, "norm is given twice"),
        (["grafiqs"], {"precision": "fast"}, "takes gradients"),
        (["faceqan"], {"precision": "fast"}, "takes gradients"),
        (["norm"], {"precision": "double"}, "unknown precision 'double'"),
        (["crfiqa"], {}, "needs weights with a quality head"),
        (["prefiqs"], {"sparsities": ()}, "sparsities are none"),
        (["prefiqs"], {"sparsities": (0.5, 0.5)}, "each once"),
        (["first-order"], {"sparsities": (1.0,)}, "sparsity"),
        (["norm"], {"batch_size": 0}, "batch size is 0"),
    ],
)
def test_refusals_before_any_work(methods, options, words):
    untouched = tiny_iresnet(apply_fn=lambda *_: pytest.fail("the network ran"))
    with pytest.raises(InputError) as caught:
        make_scorers(untouched, methods, **({"batch_size": 2} | options))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_networks_that_cannot_be_looked_into():
    closed = tiny_iresnet(taps=None)
    for method in ("grafiqs", "serfiq"):
        with pytest.raises(InputError, match=f"{method} looks inside"):
            make_scorers(closed, [method], batch_size=2)
    folded = tiny_iresnet(provenance=dataclasses.replace(PROVENANCE, folded=True))
    with pytest.raises(InputError, match=r"tiny\.pth has folded them"):
        make_scorers(folded, ["grafiqs"], batch_size=2)
    assert len(make_scorers(folded, ["serfiq"], batch_size=2)) == 1
    taps = opened(tiny_iresnet().taps)
    without = dataclasses.replace(
        taps, observe=lambda p, x, s: taps.observe(p, x, s)._replace(norms=[])
    )
    with pytest.raises(InputError, match="needs BatchNorms of feature maps"):
        make_scorers(tiny_iresnet(taps=without), ["grafiqs"], batch_size=2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"serfiq_passes": 1}, "serfiq_passes is 1"),
        ({"serfiq_dropout": 1.0}, "serfiq_dropout is 1.0"),
        ({"faceqan_samples": 0}, "faceqan_samples is 0"),
        ({"faceqan_epsilon": 0.0}, "faceqan_epsilon is 0.0"),
    ],
)
def test_impossible_draws(change, words):
    with pytest.raises(InputError, match=words):
        Draws(**change)


@pytest.mark.parametrize("methods", [["prefiqs"], ["first-order"]])
def test_rows_without_direction_are_named(methods, toy_images):
    backbone = toy_backbone()
    holes = np.array(toy_images)
    holes[[1, 4]] = np.nan
    with pytest.raises(InputError, match=r"/0\.2: .* rows 1, 4 \(from 0\)"):
        scores(backbone, methods, holes)


def test_every_method_says_what_it_is():
    for name, method in METHODS.items():
        assert method.name == name
        assert method.description[-1] != "."
        assert method.forwards
        assert "arXiv" in method.source or name == "random"


def test_seeds_are_of_the_names(sha256, tmp_path):
    (tmp_path / "name").write_text("ben/ä.png", encoding="utf-8")
    digest = bytes.fromhex(sha256(tmp_path / "name"))
    expected = np.frombuffer(digest[:4], "<u4")[0]
    found = image_seeds(["ben/ä.png", "ben/a.png"])
    assert found.dtype == np.uint32
    assert found[0] == expected
    assert found[1] != expected
