"""Embed batches of one size by a network that is compiled once."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision, at_precision
from prefiqs_jax.execution.slices import cache_friendly
from prefiqs_jax.types import ApplyFn, Params

Forward: TypeAlias = Callable[[Params, NDArray], NDArray[np.float64]]
"""``(params, images of one batch) -> raw embeddings (images, dim)``."""


def forward(
    apply_fn: ApplyFn, batch_size: int, precision: Precision = DEFAULT_PRECISION
) -> Forward:
    """Make the function that embeds up to ``batch_size`` images at a time.

    Parameters
    ----------
    apply_fn
        ``(params, images) -> raw embeddings``.
    batch_size
        Smaller batches are filled up, so that nothing compiles twice.
    precision
        Of products.

    Returns
    -------
    callable
        Takes weights and preprocessed images, shape (n, height, width, channels),
        1 ≤ n ≤ ``batch_size``; gives raw embeddings, shape (n, dim).
    """
    compiled = jax.jit(
        cache_friendly(at_precision(apply_fn, precision)),
        compiler_options=compiler_options(),
    )

    def run(params: Params, images: NDArray) -> NDArray[np.float64]:
        # Real images fill the batch: they stay finite where the network does.
        filled = np.resize(images, (batch_size, *images.shape[1:]))
        return np.asarray(compiled(params, filled), np.float64)[: len(images)]

    return run
