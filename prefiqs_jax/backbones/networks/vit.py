"""arcface_torch's vision transformers.

Patches of 9×9 pixels, which leave the last four rows and columns of 112 unread; no
class token, but all 144 tokens side by side go into the dense layer; ReLU6 in the
perceptrons. The official code runs parts of it in half precision on a GPU; here
everything has the type of its input.

References
----------
Dosovitskiy et al. (2021). An image is worth 16×16 words: Transformers for image
recognition at scale. ICLR. arXiv:2010.11929.
Code: insightface recognition/arcface_torch/backbones/vit.py.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from prefiqs_jax.backbones.networks.layers import BatchNorm, dense, per_image
from prefiqs_jax.backbones.places import Places

# Width and depth of each size.
SIZES = {
    "t": (256, 12),
    "s": (512, 12),
    "b": (512, 24),
    "l": (768, 24),
    "h": (1024, 48),
}
HEADS = 8
MLP_RATIO = 4
PATCH = 9
SIDE = 112
EMBEDDING_DIM = 512
LAYER_NORM_EPSILON = 1e-5
FEATURE_EPSILON = 2e-5
ANCHORS = ("patch_embed.proj.weight",)
BLOCK = r"(blocks)\.(\d+)\.norm1\."


def relu6(x: Array) -> Array:
    """Clip to [0, 6]; the derivative at both ends is 0, as in PyTorch."""
    return jnp.where(x <= 0, 0, jnp.where(x >= 6, 6, x)).astype(x.dtype)


class LayerNorm(nnx.Module):
    """Normalise each token by its own mean and variance, written out.

    Flax's mixes in float32, which strict promotion refuses in float64, and its default
    variance, mean of squares minus square of mean, loses digits.
    """

    def __init__(self, dim: int):
        self.scale = nnx.Param(jnp.ones((dim,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((dim,), jnp.float32))
        self.epsilon = LAYER_NORM_EPSILON

    def __call__(self, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        unit = centred * jax.lax.rsqrt(variance + self.epsilon)
        scale, bias = (leaf[...][None, None] for leaf in (self.scale, self.bias))
        return unit * scale + bias


class Patches(nnx.Module):
    """A convolution whose step is its size: one dense layer for all patches."""

    def __init__(self, patch: int, dim: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.lecun_normal()
        kernel = init(rngs.params(), (patch, patch, 3, dim), jnp.float32)
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(jnp.zeros((dim,), jnp.float32))

    def __call__(self, images: Array) -> Array:
        kernel = self.kernel[...]
        patch = kernel.shape[0]
        batch, height, width, channels = images.shape
        rows, columns = height // patch, width // patch
        read = images[:, : rows * patch, : columns * patch]
        split = read.reshape(batch, rows, patch, columns, patch, channels)
        pixels = split.transpose(0, 1, 3, 2, 4, 5).reshape(batch, rows * columns, -1)
        tokens = pixels @ kernel.reshape(-1, kernel.shape[-1])
        return tokens + self.bias[...][None, None]


class PatchEmbed(nnx.Module):
    """Tokens of an image, row by row."""

    def __init__(self, patch: int, dim: int, *, rngs: nnx.Rngs):
        self.proj = Patches(patch, dim, rngs=rngs)

    def __call__(self, images: Array) -> Array:
        return self.proj(images)


class Attention(nnx.Module):
    """Multi-head self-attention; queries, keys and values come without bias."""

    def __init__(self, dim: int, heads: int, *, rngs: nnx.Rngs):
        self.qkv = nnx.Linear(dim, 3 * dim, use_bias=False, rngs=rngs)
        self.proj = nnx.Linear(dim, dim, rngs=rngs)
        self.heads = heads

    def __call__(self, x: Array) -> Array:
        batch, tokens, dim = x.shape
        size = dim // self.heads
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, size)
        queries, keys, values = (qkv[:, :, i] for i in range(3))
        logits = jnp.einsum("bqhd,bkhd->bhqk", queries, keys) * size**-0.5
        weights = jax.nn.softmax(logits, axis=-1)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, values)
        return self.proj(mixed.reshape(batch, tokens, dim))


class Perceptron(nnx.Module):
    """Dense, ReLU6, dense, for each token."""

    def __init__(self, dim: int, hidden: int, *, rngs: nnx.Rngs):
        self.fc1 = nnx.Linear(dim, hidden, rngs=rngs)
        self.fc2 = nnx.Linear(hidden, dim, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        return self.fc2(relu6(self.fc1(x)))


class Block(nnx.Module):
    """Attention, then a perceptron, each behind a LayerNorm and added to its input."""

    def __init__(self, dim: int, heads: int, hidden: int, *, rngs: nnx.Rngs):
        self.norm1 = LayerNorm(dim)
        self.attn = Attention(dim, heads, rngs=rngs)
        self.norm2 = LayerNorm(dim)
        self.mlp = Perceptron(dim, hidden, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nnx.Module):
    """Map images (batch, side, side, 3) to raw embeddings (batch, embedding_dim).

    Parameters
    ----------
    dim, depth, heads, mlp_ratio
        Width, number of blocks, attention heads, and width of a perceptron's hidden
        layer in units of `dim`.
    patch, side
        Pixels of a patch and of the image.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        *,
        heads: int = HEADS,
        mlp_ratio: int = MLP_RATIO,
        patch: int = PATCH,
        side: int = SIDE,
        embedding_dim: int = EMBEDDING_DIM,
        rngs: nnx.Rngs,
    ):
        tokens = (side // patch) ** 2
        self.patch_embed = PatchEmbed(patch, dim, rngs=rngs)
        self.pos_embed = nnx.Param(jnp.zeros((1, tokens, dim), jnp.float32))
        # Stands in for hidden tokens in training; kept, so that a file keeps its size.
        self.mask_token = nnx.Param(jnp.zeros((1, 1, dim), jnp.float32))
        hidden = mlp_ratio * dim
        self.blocks = nnx.List(
            [Block(dim, heads, hidden, rngs=rngs) for _ in range(depth)]
        )
        self.norm = LayerNorm(dim)
        self.feature = nnx.List(
            [
                nnx.Linear(tokens * dim, dim, use_bias=False, rngs=rngs),
                BatchNorm(dim, epsilon=FEATURE_EPSILON, rngs=rngs),
                nnx.Linear(dim, embedding_dim, use_bias=False, rngs=rngs),
                BatchNorm(embedding_dim, epsilon=FEATURE_EPSILON, rngs=rngs),
            ]
        )

    def __call__(self, images: Array) -> Array:
        x = self.patch_embed(images) + self.pos_embed[...]
        for block in self.blocks:
            x = block(x)
        inner, inner_norm, outer, outer_norm = self.feature
        x = inner_norm(dense(inner, per_image(self.norm(x))))
        return outer_norm(dense(outer, x))

    def places(self) -> Places:
        """Say where stages and tail are."""
        return Places(tuple(f"feature/{i}" for i in range(4)))
