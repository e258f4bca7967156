"""Face image quality assessment: how well a quality finds the images that fail.

Numbers in, numbers out: embeddings or similarities, identities, qualities. Says of each
fraction or count in its name whether it is one of images or of comparisons.
"""

from prefiqs_jax.fiqa.bootstrap.differences import difference_table, pauc_table
from prefiqs_jax.fiqa.bootstrap.evidence import Evidence, error_evidence
from prefiqs_jax.fiqa.bootstrap.intervals import (
    EDCBand,
    Interval,
    edc_bands,
    edc_intervals,
)
from prefiqs_jax.fiqa.bootstrap.replicates import (
    FEW_UNITS,
    Replicates,
    edc_replicates,
    few_told,
)
from prefiqs_jax.fiqa.discard.cuts import GRID
from prefiqs_jax.fiqa.discard.discard import pair_quality
from prefiqs_jax.fiqa.discard.edc import EDC, edc, tie_warning
from prefiqs_jax.fiqa.discard.protocol import PROTOCOLS, Protocol
from prefiqs_jax.fiqa.discard.rce import RCE, rce
from prefiqs_jax.fiqa.discard.summary import (
    best_curve,
    fnmr_after_discard,
    pauc,
)
from prefiqs_jax.fiqa.labels.label_optimisation import optimise_labels
from prefiqs_jax.fiqa.verification.accuracy import (
    accuracy,
    accuracy_interval,
    fold_accuracies,
)
from prefiqs_jax.fiqa.verification.det import DET, det, equal_error_rate
from prefiqs_jax.fiqa.verification.pairs import (
    MOST_IMAGES,
    MOST_IMAGES_SINGLE,
    Pairs,
    all_pairs,
)
from prefiqs_jax.fiqa.verification.similarity import pair_similarity, unit_embeddings
from prefiqs_jax.fiqa.verification.templates import (
    Members,
    pool_templates,
    template_quality,
)
from prefiqs_jax.fiqa.verification.verification import (
    OperatingPoint,
    angular_similarity,
    fmr_at,
    fnmr_at,
    is_zero_fmr,
    nearest_threshold,
    operating_point,
    threshold_at_fmr,
)

__all__ = [
    "DET",
    "EDC",
    "FEW_UNITS",
    "GRID",
    "MOST_IMAGES",
    "MOST_IMAGES_SINGLE",
    "PROTOCOLS",
    "RCE",
    "EDCBand",
    "Evidence",
    "Interval",
    "Members",
    "OperatingPoint",
    "Pairs",
    "Protocol",
    "Replicates",
    "accuracy",
    "accuracy_interval",
    "all_pairs",
    "angular_similarity",
    "best_curve",
    "det",
    "difference_table",
    "edc",
    "edc_bands",
    "edc_intervals",
    "edc_replicates",
    "equal_error_rate",
    "error_evidence",
    "few_told",
    "fmr_at",
    "fnmr_after_discard",
    "fnmr_at",
    "fold_accuracies",
    "is_zero_fmr",
    "nearest_threshold",
    "operating_point",
    "optimise_labels",
    "pair_quality",
    "pair_similarity",
    "pauc",
    "pauc_table",
    "pool_templates",
    "rce",
    "template_quality",
    "threshold_at_fmr",
    "tie_warning",
    "unit_embeddings",
]
