"""Vision transformer of arcface_torch in PyTorch.

Without class token: all tokens are concatenated, and a small head makes the embedding.

References
----------
Dosovitskiy et al. (2021). An image is worth 16×16 words. ICLR. arXiv:2010.11929.
"""

import torch
from backbones.twins.pair import Pair
from torch import Tensor, nn

from prefiqs_jax.backbones.networks.vit import ViT as Port

HEAD_EPSILON = 2e-5


class Attention(nn.Module):
    """Self-attention of all tokens; queries, keys and values without bias."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        size = dim // self.heads
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, size).unbind(2)
        weights = torch.einsum("bqhc,bkhc->bhqk", q, k) * size**-0.5
        mixed = torch.einsum("bhqk,bkhc->bqhc", weights.softmax(-1), v)
        return self.proj(mixed.reshape(batch, tokens, dim))


class MLP(nn.Module):
    """Two dense layers with ReLU6 between."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.fc1(x).clamp(0, 6))


class Block(nn.Module):
    """Attention, then dense layers, each behind a layer norm and with a shortcut."""

    def __init__(self, dim: int, heads: int, hidden: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.attn = Attention(dim, heads)
        self.mlp = MLP(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Tokens (batch, patches, dim); pixels beyond the last whole patch are not read."""

    def __init__(self, dim: int, patch: int):
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """Images (batch, 3, height, width) to raw embeddings (batch, dim)."""

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        patch: int,
        image_size: int,
        mlp_ratio: int,
        embedding_dim: int,
    ):
        super().__init__()
        tokens = (image_size // patch) ** 2
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens, dim))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))  # for training only
        self.patch_embed = PatchEmbed(dim, patch)
        self.blocks = nn.ModuleList(
            Block(dim, heads, mlp_ratio * dim) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)
        self.feature = nn.Sequential(
            nn.Linear(tokens * dim, dim, bias=False),
            nn.BatchNorm1d(dim, HEAD_EPSILON),
            nn.Linear(dim, embedding_dim, bias=False),
            nn.BatchNorm1d(embedding_dim, HEAD_EPSILON),
        )

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.feature(self.norm(x).flatten(1))


def arcface_vit(
    dim: int,
    depth: int,
    heads: int = 8,
    patch: int = 9,
    *,
    image_size: int = 112,
    mlp_ratio: int = 4,
    embedding_dim: int = 512,
) -> ViT:
    """Make a vision transformer in evaluation mode.

    Parameters
    ----------
    dim, depth, heads
        Width of a token, number of blocks, number of attention heads: t 256 and 12, s
        512 and 12, b 512 and 24, l 768 and 24, h 1024 and 48; always 8 heads.
    patch, image_size
        Sides in pixels.
    mlp_ratio
        Width of the dense layers' hidden units, in units of ``dim``.
    embedding_dim
        Length of the embedding.
    """
    return ViT(dim, depth, heads, patch, image_size, mlp_ratio, embedding_dim).eval()


SIDE = 40  # 4×4 patches of 9 pixels; 4 rows and columns are not read
OWN_PAIRS = {
    "arcface_vit": Pair(
        twin=lambda: arcface_vit(12, 3, 4, image_size=SIDE, embedding_dim=5),
        port=lambda rngs: Port(12, 3, heads=4, side=SIDE, embedding_dim=5, rngs=rngs),
        size=(SIDE, SIDE),
    )
}
