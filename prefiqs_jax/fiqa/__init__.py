"""Face image quality assessment: how well a quality finds the images that fail.

Numbers in, numbers out: embeddings or similarities, identities, qualities. Says of each
fraction or count in its name whether it is one of images or of comparisons.
"""

from prefiqs_jax.fiqa.cuts import GRID
from prefiqs_jax.fiqa.det import DET, det, det_fnmr
from prefiqs_jax.fiqa.differences import difference_table, pauc_table
from prefiqs_jax.fiqa.discard import Removed, false_non_matches_removed, pair_quality
from prefiqs_jax.fiqa.edc import EDC, edc, tie_warning
from prefiqs_jax.fiqa.evidence import Evidence, error_evidence
from prefiqs_jax.fiqa.false_matches import FalseMatchEDC, false_match_edc
from prefiqs_jax.fiqa.intervals import EDCBand, Interval, edc_bands, edc_intervals
from prefiqs_jax.fiqa.label_optimisation import optimise_labels
from prefiqs_jax.fiqa.pairs import MOST_IMAGES, MOST_IMAGES_SINGLE, Pairs, all_pairs
from prefiqs_jax.fiqa.protocol import PROTOCOLS, Protocol
from prefiqs_jax.fiqa.rce import RCE, rce
from prefiqs_jax.fiqa.replicates import FEW_UNITS, Replicates, edc_replicates, few_told
from prefiqs_jax.fiqa.similarity import pair_similarity, unit_embeddings
from prefiqs_jax.fiqa.summary import (
    best_curve,
    best_fnmr_after_discard,
    best_pauc,
    fnmr_after_discard,
    pauc,
)
from prefiqs_jax.fiqa.templates import Members, pool_templates, template_quality
from prefiqs_jax.fiqa.verification import (
    OperatingPoint,
    angular_similarity,
    equal_error_rate,
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
    "FalseMatchEDC",
    "Interval",
    "Members",
    "OperatingPoint",
    "Pairs",
    "Protocol",
    "Removed",
    "Replicates",
    "all_pairs",
    "angular_similarity",
    "best_curve",
    "best_fnmr_after_discard",
    "best_pauc",
    "det",
    "det_fnmr",
    "difference_table",
    "edc",
    "edc_bands",
    "edc_intervals",
    "edc_replicates",
    "equal_error_rate",
    "error_evidence",
    "false_match_edc",
    "false_non_matches_removed",
    "few_told",
    "fmr_at",
    "fnmr_after_discard",
    "fnmr_at",
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
