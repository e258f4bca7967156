"""3×3 convolutions with 2.25 times fewer multiplications: Winograd's F(2×2, 3×3).

An output tile of 2×2 pixels takes 36 products of a 4×4 input tile with the filter, done
directly, but 16 in another basis: Y = Aᵀ [(G k Gᵀ) ⊙ (Bᵀ d B)] A. Summed over the
channels, the 16 products are 16 matrix products. The matrices have only 0, ±1 and ½, so
the rounding stays that of a direct convolution to within a small factor.

References
----------
Lavin and Gray (2016). Fast algorithms for convolutional neural networks. CVPR.
arXiv:1509.09308. Section 4.1.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

TILE = 2
WINDOW = TILE + 2
INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # Bᵀ
FILTER = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))  # Aᵀ
Grid = list[list[Array]]


@partial(jax.checkpoint, prevent_cse=False)
@jax.jit  # traced once for each shape, not once for each layer
def winograd(x: Array, kernel: Array) -> Array:
    """Convolve with 3×3 filters at stride 1 and padding 1, any height and width.

    Both terms of its tangent, ẋ ∗ k + x ∗ k̇, are summed in the other basis and leave
    it together. What a linearised network keeps is the input, not the transformed one,
    four times as large: to transform it again takes no longer than to read that.

    Images are (batch, height, width, channels_in), the kernel is (3, 3, channels_in,
    channels_out), and the result (batch, height, width, channels_out).
    """
    batch, height, width, _ = x.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    tiles = _both(INPUT, _windows(x, rows, columns))
    filters = _both(FILTER, [[kernel[i, j] for j in range(3)] for i in range(3)])
    products = [
        [tile @ weights for tile, weights in zip(*pair, strict=True)]
        for pair in zip(tiles, filters, strict=True)
    ]
    pixels = _both(OUTPUT, products)
    shape = batch, rows, columns, kernel.shape[-1]
    # (batch, rows, 2, columns, 2, channels): the tiles beside each other.
    lines = [jnp.stack([p.reshape(shape) for p in line], 3) for line in pixels]
    y = jnp.stack(lines, 2).reshape(batch, rows * TILE, columns * TILE, -1)
    return y[:, :height, :width]


def _windows(x: Array, rows: int, columns: int) -> Grid:
    """Cut overlapping 4×4 windows; entry (i, j) holds that pixel of all of them."""
    _, height, width, channels = x.shape
    below, beside = rows * TILE + 1 - height, columns * TILE + 1 - width
    padded = jnp.pad(x, ((0, 0), (1, below), (1, beside), (0, 0)))

    def pixel(i: int, j: int) -> Array:
        cut = padded[
            :,
            i : i + (rows - 1) * TILE + 1 : TILE,
            j : j + (columns - 1) * TILE + 1 : TILE,
        ]
        return cut.reshape(-1, channels)

    return [[pixel(i, j) for j in range(WINDOW)] for i in range(WINDOW)]


def _both(matrix: Sequence[Sequence[float]], grid: Grid) -> Grid:
    """Compute M g Mᵀ for a grid of arrays."""
    half = [_combine(matrix, line) for line in zip(*grid, strict=True)]
    return [_combine(matrix, line) for line in zip(*half, strict=True)]


def _combine(matrix: Sequence[Sequence[float]], arrays: Sequence[Array]) -> list[Array]:
    """Sum arrays by each row's coefficients, without products by 0 and 1."""
    sums = []
    for row in matrix:
        total = None
        for factor, array in zip(row, arrays, strict=True):
            if factor:
                term = array if abs(factor) == 1 else array * abs(factor)
                if total is None:
                    total = term if factor > 0 else -term
                else:
                    total = total + term if factor > 0 else total - term
        assert total is not None
        sums.append(total)
    return sums
