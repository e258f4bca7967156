"""ArcFace against its definition; what a step changes; the script on a tiny scale."""

import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import Toy

from prefiqs_jax.backbones.functional import bind, blueprint
from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.errors import InputError

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
PEOPLE, DIM, SCALE, MARGIN = 5, 6, 16.0, 0.4


@pytest.fixture(autouse=True)
def _mixed_types():
    # optax multiplies its counters of steps by Python's floats.
    with jax.numpy_dtype_promotion("standard"):
        yield


def build(rngs):
    return Toy(rngs=rngs)


@pytest.fixture
def script(monkeypatch):
    """Import a script of ``experiments`` by name, as it imports its neighbours."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    return importlib.import_module


@pytest.fixture
def example():
    rng = np.random.default_rng(0)
    labels = np.array([0, 3, 3, 1], np.int32)
    raw, centres = rng.standard_normal((4, DIM)), rng.standard_normal((PEOPLE, DIM))
    raw[1] = -2 * centres[3] + 0.01 * raw[1]  # beyond π - margin
    raw[2] = 3 * centres[3] + 0.5 * raw[2]
    return raw, centres, labels


def reference(raw, centres, labels, margin):
    """Equation 3 by angles, one image at a time."""
    losses = []
    for row, label in zip(raw, labels, strict=True):
        cosines = centres @ row / np.linalg.norm(centres, axis=1) / np.linalg.norm(row)
        angle = np.arccos(cosines[label])
        logits = SCALE * cosines
        if angle < np.pi - margin:
            logits[label] = SCALE * np.cos(angle + margin)
        else:
            logits[label] = SCALE * (cosines[label] - margin * np.sin(margin))
        losses.append(np.log(np.exp(logits).sum()) - logits[label])
    return np.mean(losses)


@pytest.mark.parametrize("margin", [0.0, MARGIN])
def test_loss_is_the_formula(script, example, margin):
    raw, centres, labels = example
    given = [jnp.asarray(array) for array in example]
    loss, progress = script("arcface").arcface_loss(*given, scale=SCALE, margin=margin)
    assert abs(loss - reference(raw, centres, labels, margin)) < 1e-12
    assert progress.loss == loss
    nearest = np.argmax(raw @ (centres / np.linalg.norm(centres, axis=1)[:, None]).T, 1)
    assert progress.correct == np.mean(nearest == labels)


def test_gradient_is_the_slope(script, example):
    arcface_loss = script("arcface").arcface_loss
    raw, centres, labels = map(jnp.asarray, example)

    @jax.jit
    def loss(raw, centres):
        return arcface_loss(raw, centres, labels, scale=SCALE, margin=MARGIN)[0]

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(raw, centres)
    rng, step = np.random.default_rng(1), 1e-6
    for which, gradient in enumerate(gradients):
        for _ in range(3):
            direction = rng.standard_normal(gradient.shape)
            moved = [[raw, centres], [raw, centres]]
            moved[0][which] = moved[0][which] + step * direction
            moved[1][which] = moved[1][which] - step * direction
            slope = (loss(*moved[0]) - loss(*moved[1])) / (2 * step)
            assert abs(slope - np.vdot(gradient, direction)) < 1e-7


@pytest.mark.parametrize("sign", [1, -1])
def test_gradient_is_finite_on_a_centre_and_opposite_to_it(script, sign):
    centres = jnp.eye(PEOPLE, DIM, dtype=jnp.float32)
    labels = jnp.array([2], jnp.int32)

    def loss(raw):
        found = script("arcface").arcface_loss(
            raw, centres, labels, scale=64.0, margin=0.5
        )
        return found[0]

    value, gradient = jax.jit(jax.value_and_grad(loss))(sign * 7 * centres[2:3])
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_the_own_logit_falls_with_the_angle(script):
    angles = jnp.linspace(0.01, jnp.pi - 0.01, 200)
    raw = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    centres, labels = jnp.eye(2), jnp.zeros(200, jnp.int32)
    logits, _ = script("arcface").margin_logits(
        raw, centres, labels, scale=1.0, margin=0.5
    )
    assert (np.diff(logits[:, 0]) < 0).all()


@pytest.mark.slow
def test_statistics_move_in_training_only(training):
    network = training.trainable(build, 0)
    images = jnp.asarray(
        np.random.default_rng(0).standard_normal((6, 8, 8, 3)).astype("f4")
    )
    train, embed = jax.jit(network.train_fn), jax.jit(network.embed_fn)
    raw, moved = train(network.params, network.statistics, images)
    assert jax.tree.structure(moved) == jax.tree.structure(network.statistics)
    for old, new in zip(
        jax.tree.leaves(network.statistics), jax.tree.leaves(moved), strict=True
    ):
        assert (np.asarray(old) != np.asarray(new)).all()
    # The last layer normalises by its batch in training, and by what is stored else.
    np.testing.assert_allclose(np.mean(raw, axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(raw, axis=0), 1, atol=1e-2)
    stored = embed(network.params, network.statistics, images)
    again = embed(network.params, network.statistics, images[:3])
    np.testing.assert_allclose(stored[:3], again, rtol=1e-6)
    halves = train(network.params, network.statistics, images[:3])[0]
    assert np.abs(raw[:3] - halves).max() > 0.01


@pytest.mark.slow
def test_training_and_loading_agree_on_names(training):
    network, plan = training.trainable(build, 0), blueprint(build)
    tensors = training.tensors_of(network.params, network.statistics)
    assert {path: array.shape for path, array in tensors.items()} == plan.shapes
    params, apply_fn = bind(plan, tensors)
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 3)).astype("f4")
    np.testing.assert_array_equal(
        apply_fn(params, images),
        network.embed_fn(network.params, network.statistics, jnp.asarray(images)),
    )


def test_seeds_draw_other_weights(training):
    first, same, other = (training.trainable(build, seed).params for seed in (0, 0, 1))
    kernels = [params["conv1"]["kernel"] for params in (first, same, other)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).min() > 0


def test_augment_shifts_whole_images(script):
    rgb_images = np.random.default_rng(0).integers(0, 256, (8, 9, 9, 3), np.uint8)
    scaled = Preprocessing(height=9, width=9)
    augment = script("arcface").augment
    key = jax.random.key(0)
    same = augment(key, jnp.asarray(rgb_images), scaled, shift_px=0, contrast=0.0)
    np.testing.assert_allclose(same, scaled(rgb_images), atol=1e-6)
    moved = augment(key, jnp.asarray(rgb_images), scaled, shift_px=1, contrast=0.0)
    inner = scaled(rgb_images)[:, 1:-1, 1:-1]
    shifts = set()
    for image, middle in zip(np.asarray(moved), inner, strict=True):
        found = [
            (row, column)
            for row in range(3)
            for column in range(3)
            if np.abs(image[row : row + 7, column : column + 7] - middle).max() < 1e-6
        ]
        assert len(found) == 1
        shifts |= set(found)
    assert len(shifts) > 2
    brighter = augment(key, jnp.asarray(rgb_images), scaled, shift_px=0, contrast=0.2)
    for image, plain in zip(np.asarray(brighter), scaled(rgb_images), strict=True):
        factor, offset = np.polyfit(plain.ravel(), image.ravel(), 1)
        assert 0.8 <= factor <= 1.2
        assert abs(offset) <= 0.2


@pytest.fixture
def tiny(script, training):
    """Train the toy on random images; give the losses and the state at the end."""
    arcface = script("arcface")
    rng = np.random.default_rng(0)
    rgb_images = jnp.asarray(rng.integers(0, 256, (12, 8, 8, 3), np.uint8))
    labels = jnp.asarray(np.repeat(np.arange(4, dtype=np.int32), 3))

    def run(seed=0, steps=25, compiled=None):
        network = training.trainable(build, seed)
        optimiser = arcface.adamw(
            steps=steps, warm_up=3, peak_rate=0.02, weight_decay=0.1, conv_decay=0.1
        )
        step = arcface.make_step(
            network,
            optimiser,
            preprocessing=Preprocessing(height=8, width=8),
            scale=16.0,
            margin=0.3,
            margin_warm_up=1,
            shift_px=1,
            contrast=0.1,
        )
        key = jax.random.key(seed)
        state = arcface.initial_state(
            network, optimiser, key, people=4, embedding_dim=6
        )
        losses = []
        for _ in range(steps):
            state, progress = step(state, key, rgb_images, labels)
            losses.append(float(progress.loss))
        assert step._cache_size() == 1
        assert int(state.step) == steps
        return losses, state

    return run


@pytest.mark.slow
def test_a_tiny_training_learns_and_repeats(tiny):
    losses, state = tiny()
    assert np.mean(losses[-3:]) < 0.5 * losses[0]
    repeated, same = tiny()
    assert repeated == losses
    equal = jax.tree.map(lambda a, b: bool((a == b).all()), state.params, same.params)
    assert all(jax.tree.leaves(equal))
    assert tiny(seed=1)[0] != losses


def test_only_weights_decay(script):
    optimiser = script("arcface").adamw(
        steps=10, warm_up=0, peak_rate=0.1, weight_decay=0.5, conv_decay=0.2
    )
    shapes = {"conv": (3, 3, 2, 2), "dense": (2, 2), "scale": (2,)}
    params = {name: jnp.ones(shape) for name, shape in shapes.items()}
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimiser.update(still, optimiser.init(params), params)
    assert isinstance(updates, dict)
    for name, decay in (("conv", 0.2), ("dense", 0.5), ("scale", 0.0)):
        np.testing.assert_allclose(updates[name], -0.1 * decay, atol=1e-12)


def test_nobody_is_trained_on_and_tested(script):
    module = script("train_demo_backbone")
    streams = [
        module.people_keys(seed, module.TRAINING, 20, 3) for seed in range(3)
    ] + [module.people_keys(module.TESTING_SEED, module.TESTING, 20, 3)]
    for which in range(2):
        keys = [
            {tuple(row) for row in np.asarray(jax.random.key_data(stream[which]))}
            for stream in streams
        ]
        assert [len(k) for k in keys] == [(20, 60)[which]] * 4
        assert len(set.union(*keys)) == 4 * (20, 60)[which]
    np.testing.assert_array_equal(streams[0][2], np.repeat(np.arange(20), 3))


def test_every_epoch_sees_every_image_once(script):
    module = script("train_demo_backbone")
    settings = module.Settings(people=5, captures=4, epochs=2, batch=4)
    rows = list(module._order(settings, 20))
    assert len(rows) == settings.steps == 10
    for epoch in (rows[:5], rows[5:]):
        assert sorted(np.concatenate(epoch)) == list(range(20))
    assert not np.array_equal(rows[0], rows[5])


def test_worse_images(script):
    worsen = script("train_demo_backbone").worsen
    rng = np.random.default_rng(0)
    rgb_images = rng.integers(60, 190, (40, 28, 28, 3)).astype(np.uint8)
    before = rgb_images.copy()
    worse = worsen(rgb_images, 0.5, (0, 1))
    np.testing.assert_array_equal(rgb_images, before)
    changed = (worse != rgb_images).any(axis=(1, 2, 3))
    assert 10 <= changed.sum() <= 30
    np.testing.assert_array_equal(worsen(rgb_images, 0.5, (0, 1)), worse)
    assert (worsen(rgb_images, 0.5, (0, 2)) != worse).any()
    np.testing.assert_array_equal(worsen(rgb_images, 0.0, (0, 1)), rgb_images)


@pytest.fixture
def records(tmp_path, sha256):
    """Write what three trainings would have written."""

    def write(seed, eer, **settings):
        weights = tmp_path / f"demo_seed{seed}.safetensors"
        weights.write_bytes(b"%d" % seed)
        record = {
            "settings": {"seed": seed, "people": 3} | settings,
            "weights": {"file": weights.name, "sha256": sha256(weights)},
            "verification": {"clean": {"eer": eer, "fnmr_at_fmr": {"0.01": 2 * eer}}},
        }
        path = weights.with_suffix(".json")
        path.write_text(json.dumps(record))
        return path

    return write


def test_collect(script, records, tmp_path):
    collect = script("demo_record").collect
    paths = [records(seed, eer) for seed, eer in ((0, 0.1), (1, 0.3), (2, 0.2))]
    assets = tmp_path / "assets"
    record = collect(paths, assets)
    assert record["embedded_seed"] == 2  # in the middle
    assert (assets / "demo.safetensors").read_bytes() == b"2"
    joined = record["verification"]["clean"]
    assert joined["eer"] == {"mean": 0.2, "sd": 0.1}
    assert joined["fnmr_at_fmr"]["0.01"] == {"mean": 0.4, "sd": 0.2}
    assert json.loads((assets / "demo_training.json").read_text()) == record
    assert collect(paths, assets, embed=1)["embedded_seed"] == 1
    with pytest.raises(InputError, match="no record of seed 7"):
        collect(paths, assets, embed=7)
    with pytest.raises(InputError, match="once"):
        collect([*paths, paths[0]], assets)
    with pytest.raises(InputError, match="other settings"):
        collect([*paths, records(3, 0.1, people=4)], assets)
    paths[1].with_suffix(".safetensors").write_bytes(b"another")
    with pytest.raises(InputError, match="is not the file"):
        collect(paths, assets)


@pytest.mark.slow
def test_the_script(script, tmp_path, monkeypatch, capsys):
    """Of random images, a few steps of the real network, to files and back."""
    module = script("train_demo_backbone")

    def faces(identity_keys, capture_keys):
        del capture_keys
        seeds = np.asarray(jax.random.key_data(identity_keys))[:, 1]
        draw = [np.random.default_rng(s).integers(0, 256, (112, 112, 3)) for s in seeds]
        return np.stack(draw).astype(np.uint8)

    monkeypatch.setattr(module, "faces", faces)
    sizes = {"people": 3, "captures": 4, "epochs": 2, "batch": 6, "tests": 2}
    sizes |= {"testing-people": 3, "testing-captures": 2}
    words = [f"--{name}={size}" for name, size in sizes.items()]
    words += ["--out", str(tmp_path)]
    assert module.main([*words, "--seed", "5"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"clean", "half_degraded"}
    assert "eer" in printed["clean"]
    record = json.loads((tmp_path / "demo_seed5.json").read_text())
    assert record["steps"] == 4
    assert record["parameters"] == 1_165_576
    assert record["curves"]["test_step"] == [2, 4]
    assert len(record["curves"]["loss"]) == 4
    assert str(tmp_path) not in json.dumps(record)
    assets = tmp_path / "assets"
    words = ["--collect", str(tmp_path / "demo_seed5.json"), "--assets", str(assets)]
    assert module.main(words) == 0
    assert module.main([*words, "--embed", "6"]) == 2
    assert (assets / "demo.safetensors").stat().st_size < 3e6
