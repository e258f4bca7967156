"""Tiny networks for the tests of quality scores: a twin of PyTorch, and a backbone."""

import dataclasses
import zlib
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from prefiqs_jax.backbones import Backbone, Preprocessing, Provenance
from prefiqs_jax.backbones.functional import bind, blueprint
from prefiqs_jax.backbones.networks.iresnet import IResNet
from prefiqs_jax.backbones.quality import quality_head
from prefiqs_jax.backbones.taps import make_taps

BLOCKS, WIDTHS, DIM = (1, 1, 2, 1), (2, 3, 4, 5), 6
PROVENANCE = Provenance("tiny.pth", "0" * 64, "tiny.pth", "0" * 64, "torch")


def draw(path, shape, rng):
    leaf = path.rpartition("/")[2]
    if leaf in ("scale", "var"):
        return rng.uniform(0.5, 1.5, shape)
    if leaf == "slope":
        return rng.uniform(-0.5, 1.5, shape)
    if len(shape) > 1:
        return rng.normal(0, np.prod(shape[:-1]) ** -0.5, shape)
    return rng.normal(0, 0.2, shape)


def tiny_iresnet(
    dtype: DTypeLike = np.float32, *, quality=False, seed=0, **changes: Any
):
    """Make a backbone of 11 convolutions that can be looked into."""
    rng = np.random.default_rng(seed)
    plan = blueprint(
        lambda rngs: IResNet(
            BLOCKS, widths=WIDTHS, embedding_dim=DIM, quality=quality, rngs=rngs
        )
    )
    tensors = {p: draw(p, s, rng).astype(dtype) for p, s in plan.shapes.items()}
    params, apply_fn = bind(plan, tensors)
    made = Backbone(
        "tiny_iresnet",
        params,
        apply_fn,
        DIM,
        Preprocessing(),
        PROVENANCE,
        quality_head(tensors),
        make_taps(plan, tensors),
    )
    return dataclasses.replace(made, **changes)


def draw_images(count, size=(112, 112), dtype: DTypeLike = np.float32, seed=0):
    """Draw preprocessed images, smooth enough that the network's means matter."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(-1, 1, (count, 7, 7, 3))
    rows, columns = (np.arange(n) * 7 // n for n in size)
    return coarse[:, rows][:, :, columns].astype(dtype)


def twin_sample(name):
    """Give a twin of PyTorch in float64, its port's taps and params, and images."""
    from backbones.test_ports import IGNORABLE, randomise
    from backbones.twins.pairs import PAIRS

    from prefiqs_jax.weights.mapping import convert

    pair = PAIRS[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    twin = pair.twin().double()
    randomise(twin, rng)
    state = {key: value.numpy() for key, value in twin.state_dict().items()}
    plan = blueprint(pair.port)
    tensors, _ = convert(state, pair.entries(plan.shapes), IGNORABLE, plan.shapes)
    params, _ = bind(plan, tensors)
    images = rng.uniform(-1, 1, (2, *pair.size, 3))
    return twin, opened(make_taps(plan, tensors)), params, images


def opened(taps):
    """Say to type checkers that there are taps."""
    assert taps is not None
    return taps
