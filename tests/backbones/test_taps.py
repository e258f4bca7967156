"""Looking into a network changes nothing, and finds the places that PyTorch has."""

import jax
import numpy as np
import pytest
from compiling import jit_at_level

from prefiqs_jax.backbones.taps import make_taps
from prefiqs_jax.backbones.zoo import architecture

quick_jit = jit_at_level(0)
HALVES = [(56, 56), (28, 28), (14, 14), (7, 7)]


def seen_of(name, folded=False):
    """Trace a published network, without weights, and say what would be seen."""
    found = architecture(name)
    plan = found.folded_blueprint if folded else found.blueprint
    assert plan is not None
    zeros = {
        path: np.broadcast_to(np.float32(0), shape)
        for path, shape in plan.shapes.items()
        if path.startswith("statistics/")
    }
    taps = make_taps(plan, zeros)
    assert taps is not None
    pixels = found.preprocessing
    images = jax.ShapeDtypeStruct((2, pixels.height, pixels.width, 3), np.float32)
    features = jax.eval_shape(taps.trunk, plan.params, images)
    raw = jax.eval_shape(taps.head, plan.params, features)
    assert raw.shape == (2, found.embedding_dim)
    seen = jax.eval_shape(lambda p, x: taps.observe(p, x, ()), plan.params, images)
    return seen, features


# BatchNorm2d of the published code, counted by hand: three a block, one a projection,
# and those of the stem and the tail.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "norms", "features"),
    [
        ("arcface_iresnet18", 8 * 3 + 4 + 2, 25088),
        ("magface_iresnet50", 24 * 3 + 4 + 2, 25088),
        ("mxnet_iresnet34", 16 * 3 + 4 + 2, 25088),
        # No BatchNorm between convolution and PReLU; three projections.
        ("curricularface_ir50", 24 * 2 + 3 + 2, 25088),
        ("adaface_ir18", 8 * 3 + 3 + 2, 25088),
        # Stem, grouped layer, 15 blocks of three, 1×1, global depthwise.
        ("arcface_mobilefacenet", 2 + 15 * 3 + 2, 512),
        # 27 convolutions and the tail's.
        ("sface", 27 + 1, 50176),
        ("demo", 6 * 3 + 4 + 2, 6272),
    ],
)
def test_published_networks(name, norms, features):
    seen, flat = seen_of(name)
    assert len(seen.norms) == norms
    assert [stage.shape[1:3] for stage in seen.stages] == HALVES
    assert flat.shape == (2, features)


def test_narrow_images():
    seen, features = seen_of("xiaoccer_mobilefacenet")
    sizes = [(56, 48), (28, 24), (14, 12), (7, 6)]
    assert [stage.shape[1:3] for stage in seen.stages] == sizes
    # Two of the stem, 15 blocks of three, and of 1×1, global and last convolutions.
    assert len(seen.norms) == 2 + 15 * 3 + 3
    assert seen.norms[-1].input.shape == (2, 1, 1, 128)
    assert features.shape == (2, 512)


def test_transformers_have_neither():
    seen, features = seen_of("arcface_vit_t")
    assert (seen.norms, seen.stages) == ([], [])
    assert features.shape == (2, 144 * 256)


def test_folded_networks_have_lost_theirs():
    seen, _ = seen_of("arcface_iresnet50", folded=True)
    assert len(seen.norms) == 24 + 1  # those in front of a convolution


@pytest.mark.twins
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "name", ["curricularface", "xiaoccer_mobilefacenet", "arcface_vit"]
)
def test_taps_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    from quality.quality_networks import twin_sample

    twin, taps, params, images = twin_sample(name)
    inputs = []

    def keep(module, received, _output):
        inputs.append((received[0].numpy(), module.running_mean.numpy()))

    for module in twin.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_hook(keep)
    with torch.no_grad():
        expected = twin(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()

    @quick_jit
    def look(params, images):
        whole = taps.head(params, taps.trunk(params, images))
        single = taps.head(params, taps.trunk(params, images[:1]))
        quick = taps.apply_for_gradients(params, images)
        return whole, single, quick, taps.observe(params, images, ())

    whole, single, quick, seen = look(params, images)
    scale = np.abs(expected).max()
    for raw, count in ((whole, 2), (single, 1), (quick, 2), (seen.raw, 2)):
        assert raw.shape == (count, expected.shape[1])
        assert np.abs(raw - expected[:count]).max() <= 1e-12 * scale
    assert len(seen.norms) == len(inputs)
    for ours, (received, mean) in zip(seen.norms, inputs, strict=True):
        np.testing.assert_array_equal(ours.mean, mean)
        reference = received.transpose(0, 2, 3, 1)
        largest = np.abs(reference).max()
        assert np.abs(ours.input - reference).max() <= 1e-12 * largest


@pytest.mark.slow
def test_shifts_move_what_follows():
    from quality.quality_networks import draw_images, opened, tiny_iresnet

    backbone = tiny_iresnet(np.float64)
    images = draw_images(1, dtype=np.float64)
    observe = quick_jit(opened(backbone.taps).observe)
    plain = observe(backbone.params, images, ())
    shifts = [np.zeros(stage.shape) for stage in plain.stages]
    same = observe(backbone.params, images, shifts)
    np.testing.assert_array_equal(same.raw, plain.raw)
    shifts[2] += 0.5
    moved = observe(backbone.params, images, shifts)
    np.testing.assert_array_equal(moved.stages[1], plain.stages[1])
    np.testing.assert_allclose(moved.stages[2], plain.stages[2] + 0.5, rtol=1e-12)
    assert np.abs(moved.stages[3] - plain.stages[3]).max() > 1e-3
