"""A toy network with every kind of layer, small enough for float64 checks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import DTypeLike

from prefiqs_jax.backbones import Backbone, Preprocessing, Provenance
from prefiqs_jax.backbones.functional import bind, blueprint
from prefiqs_jax.backbones.networks.layers import (
    BatchNorm,
    PReLU,
    conv,
    dense,
    per_image,
)


class Toy(nnx.Module):
    def __init__(self, *, rngs, size=8):
        self.conv1 = conv(3, 8, 3, 2, rngs=rngs)
        self.bn1 = BatchNorm(8, rngs=rngs)
        self.prelu = PReLU(8)
        self.depthwise = conv(8, 8, 3, 1, groups=8, rngs=rngs)
        self.fc = nnx.Linear(8 * (size // 2) ** 2, 6, rngs=rngs)
        self.features = BatchNorm(6, rngs=rngs)

    def __call__(self, images):
        x = self.prelu(self.bn1(self.conv1(images)))
        return self.features(dense(self.fc, per_image(self.depthwise(x))))


def toy_network(dtype: DTypeLike = np.float64, seed=0, size=8):
    """Return (apply_fn, params, images): ~1,100 weights, images (5, size, size, 3)."""
    rng = np.random.default_rng(seed)
    plan = blueprint(lambda rngs: Toy(rngs=rngs, size=size))

    def draw(path, shape):
        leaf = path.rpartition("/")[2]
        if leaf in ("scale", "var"):
            return rng.uniform(0.5, 1.5, shape).astype(dtype)
        if leaf == "slope":  # trained slopes are negative and above 1, too
            return rng.uniform(-1.5, 1.5, shape).astype(dtype)
        scale = np.sqrt(2 / max(1, int(np.prod(shape[:-1])))) if len(shape) > 1 else 0.1
        return (rng.standard_normal(shape) * scale).astype(dtype)

    params, apply_fn = bind(plan, {p: draw(p, s) for p, s in plan.shapes.items()})
    images = jnp.asarray(rng.uniform(-1, 1, (5, size, size, 3)).astype(dtype))
    return apply_fn, params, images


def toy_backbone(dtype: DTypeLike = np.float32, seed=0, size=8, name="toy"):
    """Return the toy network as a backbone for images of size × size pixels."""
    apply_fn, params, _ = toy_network(dtype, seed, size)
    return Backbone(
        name=name,
        params=params,
        apply_fn=apply_fn,
        embedding_dim=6,
        preprocessing=Preprocessing(height=size, width=size),
        provenance=Provenance(name, f"{seed:064d}", name, f"{seed:064d}", "none"),
    )


def blind_to_black(backbone, value=np.nan):
    """Return the network with embeddings of this value for black images."""

    def apply_fn(params, images):
        black = (images <= -1).all(axis=(1, 2, 3))
        raw = backbone.apply_fn(params, images)
        return jnp.where(black[:, None], jnp.asarray(value, raw.dtype), raw)

    return dataclasses.replace(backbone, apply_fn=apply_fn)


def plain_networks(seed=0):
    """Return two-layer networks of plain JAX in float64, with their hidden inputs.

    Returns
    -------
    smooth, kinked
        ``(params, images) -> raw embeddings`` (batch, 6), by softplus and by PReLU.
    hidden
        ``(params, images) -> inputs of the activation`` (batch, 10).
    params, images
        Both arrays of float64; images (5, 2, 2, 3).
    """
    rng = np.random.default_rng(seed)
    params = {
        "first": jnp.asarray(rng.standard_normal((12, 10)) / 3),
        "second": jnp.asarray(rng.standard_normal((10, 6))),
    }
    images = jnp.asarray(rng.uniform(-1, 1, (5, 2, 2, 3)))

    def hidden(params, images):
        return per_image(images) @ params["first"]

    def smooth(params, images):
        return jax.nn.softplus(hidden(params, images)) @ params["second"]

    def kinked(params, images):
        x = hidden(params, images)
        return jnp.where(x > 0, x, -0.5 * x) @ params["second"]

    return smooth, kinked, hidden, params, images
