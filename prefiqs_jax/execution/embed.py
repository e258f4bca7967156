"""Embed any number of images by a network that is compiled once."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision, at_precision
from prefiqs_jax.execution.slices import cache_friendly
from prefiqs_jax.types import ApplyFn, Params


class Embedder:
    """A network, compiled once for batches of one size, at one precision of products.

    Smaller batches are filled up, so that nothing compiles twice.
    """

    def __init__(
        self,
        apply_fn: ApplyFn,
        batch_size: int,
        precision: Precision = DEFAULT_PRECISION,
    ):
        self.batch_size = batch_size
        self._compiled = jax.jit(
            cache_friendly(at_precision(apply_fn, precision)),
            compiler_options=compiler_options(),
        )

    def __call__(
        self,
        params: Params,
        images: NDArray,
        *,
        preprocess: Callable[[NDArray], NDArray] | None = None,
        on_progress: Callable[[int], Any] | None = None,
    ) -> NDArray[np.float64]:
        """Compute raw embeddings, shape (n, dim).

        Parameters
        ----------
        params
            Weights.
        images
            Shape (n ≥ 1, height, width, channels), preprocessed unless ``preprocess``
            does it.
        preprocess
            Applied to each batch before the network.
        on_progress
            Called with the number of images after each batch.
        """
        size, parts = self.batch_size, []
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            count = len(batch)
            if preprocess:
                batch = preprocess(batch)
            # Real images fill the batch: they stay finite where the network does.
            batch = np.resize(batch, (size, *batch.shape[1:]))
            found = np.asarray(self._compiled(params, batch), np.float64)
            parts.append(found[:count])
            if on_progress:
                on_progress(count)
        return np.concatenate(parts)
