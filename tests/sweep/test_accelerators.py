"""Programs for devices that are not here: they are made, if not run."""

import re

import jax
import numpy as np
import pytest

from prefiqs_jax.backbones import bind
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sweep.engine import make_step, prepare
from prefiqs_jax.sweep.strategy import Strategy, default_strategy

PLATFORM = {"gpu": "cuda", "tpu": "tpu"}  # by the name of the backend


def program(network, backend, precision):
    """The step's StableHLO, traced as if that backend were the default."""
    found = architecture(network)
    rng = np.random.default_rng(0)
    tensors = {
        path: rng.standard_normal(shape, np.float32)
        for path, shape in found.blueprint.shapes.items()
    }
    params, apply_fn = bind(found.blueprint, tensors)
    masks = pack_masks(globally(magnitude), params, [0.2, 0.4])
    problem = prepare(apply_fn, params, masks, precision=precision)
    pixels = found.preprocessing
    images = jax.ShapeDtypeStruct((2, pixels.height, pixels.width, 3), np.float32)
    step = jax.jit(make_step(problem, Strategy(tangent_chunk=2)))
    return jax.export.export(step, platforms=[PLATFORM[backend]])(
        *problem.weights, images
    ).mlir_module()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "network", "precision"),
    [  # each precision on each backend, and of each kind of network
        ("gpu", "sface", "highest"),
        ("gpu", "arcface_vit_t", "high"),
        ("gpu", "arcface_vit_t", "fast"),
        ("tpu", "arcface_vit_t", "highest"),
        ("tpu", "sface", "high"),
        ("tpu", "sface", "fast"),
    ],
)
def test_a_step_is_made_for_an_accelerator(backend, network, precision, monkeypatch):
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    text = program(network, backend, precision)
    assert "custom_call" not in text  # nothing that only a CPU's compiler knows
    products = re.findall(r"stablehlo\.(?:convolution|dot_general).*", text)
    asked = [set(re.findall(r"\b(HIGHEST|HIGH|DEFAULT)\b", line)) for line in products]
    assert products
    assert asked == [{"HIGH" if precision == "high" else "HIGHEST"}] * len(products)
    rounded = [line for line in products if "bf16" in line]
    assert len(rounded) == (len(products) if precision == "fast" else 0)


@pytest.mark.parametrize("backend", PLATFORM)
def test_directions_go_in_fives_and_images_all_at_once(backend, monkeypatch):
    monkeypatch.setattr("jax.default_backend", lambda: backend)
    assert default_strategy(10, 128, intensity=1.0) == Strategy(tangent_chunk=5)
