"""Ask whether the quality of a demo's images predicts its network's errors."""

from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.demo.settings import FMR
from prefiqs_jax.execution.embed import Embedder
from prefiqs_jax.fiqa import (
    EDCBand,
    all_pairs,
    edc_intervals,
    equal_error_rate,
    fnmr_at,
    threshold_at_fmr,
)
from prefiqs_jax.sensitivity import drift_of, unit
from prefiqs_jax.terminal import progress_bar
from prefiqs_jax.types import Params

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 32
PREFIQS, FIRST_ORDER = "PreFIQs", "first order"
SEVERITY, RANDOM = "known severity", "random"


class DemoEmbedder:
    """Embed images by a network and by its pruned copy, in batches of one size."""

    def __init__(self, backbone: Backbone, pruned: Params, *, progress: bool):
        self._backbone = backbone
        self._pruned = pruned
        self._embed = Embedder(backbone.apply_fn, _BATCH)
        self._progress = progress

    def dense(self, images: np.ndarray) -> np.ndarray:
        """Embed images (n, height, width, 3), uint8; unit rows (n, dim)."""
        with progress_bar(
            len(images), what="embedding", progress=self._progress
        ) as bar:
            return self._unit(self._backbone.params, images, bar)

    def drift(self, images: np.ndarray) -> np.ndarray:
        """Measure how far pruning moves the unit embeddings, shape (n,)."""
        what, count = "degraded copies", 2 * len(images)
        with progress_bar(count, what=what, progress=self._progress) as bar:
            dense = self._unit(self._backbone.params, images, bar)
            return drift_of(self._unit(self._pruned, images, bar) - dense)

    def _unit(self, params: Params, images: np.ndarray, bar: "tqdm[Any]") -> np.ndarray:
        preprocess, report = self._backbone.preprocess, bar.update
        return unit(
            self._embed(params, images, preprocess=preprocess, on_progress=report)
        )


def verify(embeddings: np.ndarray, table: "pd.DataFrame") -> "pd.DataFrame":
    """Count the verification errors of the clean images, and of all.

    The embeddings, (images, dim), are those of the table's lines, with columns identity
    and severity. Columns pictures (``clean`` or ``all``), images, mated, non_mated,
    eer, fmr, threshold and fnmr.
    """
    import pandas as pd

    clean = np.flatnonzero(table["severity"].to_numpy(np.float64) == 0)
    lines = []
    for name, chosen in (("clean", clean), ("all", None)):
        pairs = all_pairs(embeddings, table["identity"].to_numpy(), chosen=chosen)
        mated, others = pairs.similarity[pairs.mated], pairs.similarity[~pairs.mated]
        threshold = threshold_at_fmr(others, FMR)
        lines.append(
            {
                "pictures": name,
                "images": len(table) if chosen is None else len(chosen),
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
    table: "pd.DataFrame",
    rows: "pd.DataFrame",
    *,
    replicates: int,
    seed: int,
) -> dict[str, EDCBand]:
    """Compute the error-versus-discard curves of four qualities on all images.

    Embeddings and table as for :func:`verify`; rows are those of the sweep at the
    sparsity of the quality, in the same order. Qualities: PreFIQs (minus the drift),
    the first order (minus the norm of the JVP; needs no pruned network), the known
    severity (minus it) and a random one. Intervals are by identity.
    """
    identities = table["identity"].to_numpy()
    pairs = all_pairs(embeddings, identities)
    quality = {
        PREFIQS: rows["quality"].to_numpy(np.float64),
        FIRST_ORDER: -rows["first_order"].to_numpy(np.float64),
        SEVERITY: -table["severity"].to_numpy(np.float64),
        RANDOM: np.random.default_rng(seed).random(len(table)),
    }
    return edc_intervals(
        pairs, identities, quality, fmr=FMR, replicates=replicates, seed=seed
    )


def curve_table(bands: dict[str, EDCBand]) -> "pd.DataFrame":
    """Tabulate curves: quality, fmr, discard_fraction, fnmr, low, high."""
    import pandas as pd

    names = ["discard_fraction", "fnmr", "low", "high"]
    frames = []
    for name, band in bands.items():
        columns = dict(zip(names, (band.discard_fraction, *band.fnmr), strict=True))
        frames.append(pd.DataFrame({"quality": name, "fmr": band.fmr, **columns}))
    return pd.concat(frames, ignore_index=True)
