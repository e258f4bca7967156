"""Ask whether the quality of a demo's images predicts its network's errors."""

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.demo.settings import FMR
from prefiqs_jax.execution.embed import Embedder, image_bar
from prefiqs_jax.fiqa import (
    EDCBand,
    all_pairs,
    edc_intervals,
    equal_error_rate,
    fnmr_at,
    threshold_at_fmr,
)
from prefiqs_jax.sensitivity import drift_of, unit
from prefiqs_jax.types import Params

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 32
PREFIQS, FIRST_ORDER, SEVERITY, RANDOM = (
    "PreFIQs",
    "first order",
    "known severity",
    "random",
)


class DemoEmbedder:
    """Embed images by a network and by its pruned copy, in batches of one size."""

    def __init__(self, backbone: Backbone, pruned: Params, *, progress: bool):
        self._backbone = backbone
        self._pruned = pruned
        self._embed = Embedder(backbone.apply_fn, _BATCH)
        self._progress = progress

    def dense(self, pictures: np.ndarray) -> np.ndarray:
        """Embed images (n, height, width, 3), uint8; unit rows (n, dim)."""
        with image_bar(len(pictures), what="embedding", progress=self._progress) as bar:
            return self._unit(self._backbone.params, pictures, bar)

    def drift(self, pictures: np.ndarray) -> np.ndarray:
        """Measure how far pruning moves the unit embeddings, shape (n,)."""
        what, count = "degraded copies", 2 * len(pictures)
        with image_bar(count, what=what, progress=self._progress) as bar:
            dense = self._unit(self._backbone.params, pictures, bar)
            return drift_of(self._unit(self._pruned, pictures, bar) - dense)

    def _unit(
        self, params: Params, pictures: np.ndarray, bar: "tqdm[Any]"
    ) -> np.ndarray:
        raw = self._embed(
            params,
            pictures,
            preprocess=self._backbone.preprocess,
            on_progress=bar.update,
        )
        return unit(raw)


def verify(embeddings: np.ndarray, pictures: "pd.DataFrame") -> "pd.DataFrame":
    """Count the verification errors of the clean images, and of all.

    Parameters
    ----------
    embeddings
        Shape (images, dim).
    pictures
        In the same order, with columns identity and severity.

    Returns
    -------
    pandas.DataFrame
        Columns images (``clean`` or ``all``), images, mated, non_mated, eer, fmr,
        threshold and fnmr.
    """
    import pandas as pd

    clean = np.flatnonzero(pictures["severity"].to_numpy(np.float64) == 0)
    lines = []
    for name, chosen in (("clean", clean), ("all", None)):
        pairs = all_pairs(embeddings, pictures["identity"].to_numpy(), chosen=chosen)
        mated, others = pairs.similarity[pairs.mated], pairs.similarity[~pairs.mated]
        threshold = threshold_at_fmr(others, FMR)
        lines.append(
            {
                "pictures": name,
                "images": len(pictures) if chosen is None else len(chosen),
                "mated": len(mated),
                "non_mated": len(others),
                "eer": equal_error_rate(pairs.similarity, pairs.mated),
                "fmr": FMR,
                "threshold": threshold,
                "fnmr": fnmr_at(mated, threshold),
            }
        )
    return pd.DataFrame(lines)


def discard_curves(
    embeddings: np.ndarray,
    pictures: "pd.DataFrame",
    rows: "pd.DataFrame",
    *,
    replicates: int,
    seed: int,
) -> dict[str, EDCBand]:
    """Compute the error-versus-discard curves of four qualities on all images.

    Parameters
    ----------
    embeddings, pictures
        As for :func:`verify`.
    rows
        Rows of the sweep at the sparsity of the quality, in the order of the images.
    replicates, seed
        Replicates of the intervals by identity, and the key of their draws and of the
        random quality.

    Returns
    -------
    dict
        Bands of PreFIQs (minus the drift), the first order (minus the norm of the JVP;
        needs no pruned network), the known severity (minus it) and a random quality.
    """
    identities = pictures["identity"].to_numpy()
    pairs = all_pairs(embeddings, identities)
    quality = {
        PREFIQS: rows["quality"].to_numpy(np.float64),
        FIRST_ORDER: -rows["first_order"].to_numpy(np.float64),
        SEVERITY: -pictures["severity"].to_numpy(np.float64),
        RANDOM: np.random.default_rng(seed).random(len(pictures)),
    }
    return edc_intervals(
        pairs, identities, quality, fmr=FMR, replicates=replicates, seed=seed
    )


def curve_table(bands: dict[str, EDCBand]) -> "pd.DataFrame":
    """Tabulate curves: quality, fmr, discard_fraction, fnmr, low, high."""
    import pandas as pd

    frames = [
        pd.DataFrame(
            {
                "quality": name,
                "fmr": band.fmr,
                "discard_fraction": band.discard_fraction,
                "fnmr": band.fnmr.value,
                "low": band.fnmr.low,
                "high": band.fnmr.high,
            }
        )
        for name, band in bands.items()
    ]
    return pd.concat(frames, ignore_index=True)
