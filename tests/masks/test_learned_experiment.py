"""The experiment on learned masks: who is held out, what the gain is, what is kept."""

import importlib.util
import json
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import prefiqs_jax
from prefiqs_jax import masks
from prefiqs_jax.sensitivity import drift

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "learned_masks.py"
MODEL = """
import jax, jax.numpy as jnp, numpy as np
import prefiqs_jax

def apply_fn(params, images):
    pooled = images.reshape(len(images), 4, 4, 4, 4, 3).mean((2, 4))
    return jnp.tanh(pooled.reshape(len(images), -1) @ params["a"]) @ params["b"]

def build():
    rng = np.random.default_rng(0)
    params = {
        "a": jnp.asarray(rng.standard_normal((48, 32)) / 3, jnp.float32),
        "b": jnp.asarray(rng.standard_normal((32, 16)) / 6, jnp.float32),
    }
    return prefiqs_jax.from_function(apply_fn, params, (16, 16, 3), name="toy")
"""


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("learned_masks_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its records look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def backbone():
    space = {}
    exec(MODEL, space)
    return space["build"]()


def images(people=6, each=2, side=16, seed=0):
    rng = np.random.default_rng(seed)
    who = np.repeat([f"p{n}" for n in range(people)], each)
    own = rng.integers(40, 216, (people, side, side, 3)).repeat(each, axis=0)
    noisy = own + rng.normal(0, 20, own.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), who


def test_nobody_is_on_both_sides(script):
    pixels, who = images(people=7, each=3)
    train, held_out = script.halves(pixels, who, seed=1)
    assert not set(train.people) & set(held_out.people)
    assert set(train.people) | set(held_out.people) == set(who)
    for part in (train, held_out):
        count = len(part.images) // 2
        assert part.degraded.tolist() == [False] * count + [True] * count
        assert part.people[:count].tolist() == part.people[count:].tolist()
        changed = (part.images[:count] != part.images[count:]).any(axis=(1, 2, 3))
        assert changed.all()
    with pytest.raises(prefiqs_jax.errors.InputError, match="at least 4"):
        script.halves(pixels[:9], who[:9], seed=1)


def test_the_gain_is_the_goals_difference_with_people_left_out(script, backbone):
    pixels, who = images()
    faces = script.Faces(pixels, who, np.zeros(len(who), bool))
    options = script._parser().parse_args(["--sparsity", "0.5"])
    mask_fns = {
        "learned": masks.layerwise(masks.magnitude),
        "magnitude": masks.globally(masks.magnitude),
    }
    found = script.compare(backbone, faces, mask_fns, masks.least_drift, options)
    prepared = jnp.asarray(backbone.preprocess(pixels))
    squares = {}
    for name, mask_fn in mask_fns.items():
        delta = masks.pruning_delta(backbone.params, mask_fn(backbone.params, 0.5))
        moved = drift(backbone.apply_fn, backbone.params, delta, prepared)
        squares[name] = np.asarray(moved, np.float64) ** 2
        assert found[name] == pytest.approx(squares[name].mean(), rel=1e-4)
    gain = squares["magnitude"] - squares["learned"]
    without = np.array([gain[who != p].mean() for p in np.unique(who)])
    error = np.sqrt(5 / 6 * ((without - without.mean()) ** 2).sum())
    half = (found["high"] - found["low"]) / 2
    assert found["gain"] == pytest.approx(gain.mean(), rel=1e-3)
    assert half == pytest.approx(2.570582 * error, rel=1e-2)  # Student, 5 degrees
    assert (found["people"], found["images"]) == (6, 12)


@pytest.mark.slow
def test_from_faces_to_the_record(script, tmp_path, capsys):
    (tmp_path / "toy.py").write_text(MODEL)
    pixels, who = images(people=8, each=3)
    for place, (image, person) in enumerate(zip(pixels, who, strict=True)):
        (tmp_path / "faces" / person).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(tmp_path / "faces" / person / f"{place}.png")
    out = tmp_path / "record.json"
    words = [str(tmp_path / "faces"), "--backbone", f"{tmp_path / 'toy.py'}:build"]
    words += ["--out", str(out), "--steps", "40", "--rate", "0.02"]
    assert script.main(words) == 0
    record = json.loads(out.read_text())
    assert [row["goal"] for row in record["goals"]] == list(script.GOALS)
    for row in record["goals"]:
        held = row["held_out"]
        assert held["low"] <= held["gain"] <= held["high"]
        assert row["holds"] == (held["low"] > 0)
        assert held["gain"] == pytest.approx(held["magnitude"] - held["learned"])
        assert len(row["history"]) == 40
    assert record["hardware"]["usable_cores"] >= 1
    said = capsys.readouterr().out
    assert all(word in said for word in script.GOALS)
