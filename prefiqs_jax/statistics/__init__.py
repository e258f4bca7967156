"""Agreement of first order and drift: statistics, their intervals, summary table.

Numbers in, numbers out: nothing here knows networks, images, runs or plots.
"""

from prefiqs_jax.statistics.agreement import (
    mean_cosine,
    norm_error,
    relative_residual,
    slope_through_origin,
)
from prefiqs_jax.statistics.bootstrap import bootstrap_weights, percentile_interval
from prefiqs_jax.statistics.cautions import (
    FEWEST_CLUSTERS,
    FEWEST_FOR_INTERVAL,
    caution,
    gathered,
)
from prefiqs_jax.statistics.contributions import contribution_shares, share_table
from prefiqs_jax.statistics.control_comparison import (
    ControlComparison,
    compare_with_controls,
)
from prefiqs_jax.statistics.correlation import kendall, pearson, spearman
from prefiqs_jax.statistics.directions import rank_correlations, validity_medians
from prefiqs_jax.statistics.distribution import quantiles
from prefiqs_jax.statistics.held import held_shares
from prefiqs_jax.statistics.jackknife import (
    deletion_groups,
    jackknife_interval,
    without_each,
)
from prefiqs_jax.statistics.masks_compared import MaskComparison, compare_masks
from prefiqs_jax.statistics.on_request import flip_table, relative_medians
from prefiqs_jax.statistics.quantile_interval import quantile_interval
from prefiqs_jax.statistics.reach import TOLERANCE, reach
from prefiqs_jax.statistics.rounding import (
    NOTHING_CHANGES,
    ROUNDING,
    ROUNDING_AT,
    with_derived,
)
from prefiqs_jax.statistics.separation import auroc
from prefiqs_jax.statistics.strata import within_strata
from prefiqs_jax.statistics.summary import STATISTICS, Sample, summarise
from prefiqs_jax.statistics.weighted import weighted_median
from prefiqs_jax.statistics.woodruff import median_interval

__all__ = [
    "FEWEST_CLUSTERS",
    "FEWEST_FOR_INTERVAL",
    "NOTHING_CHANGES",
    "ROUNDING",
    "ROUNDING_AT",
    "STATISTICS",
    "TOLERANCE",
    "ControlComparison",
    "MaskComparison",
    "Sample",
    "auroc",
    "bootstrap_weights",
    "caution",
    "compare_masks",
    "compare_with_controls",
    "contribution_shares",
    "deletion_groups",
    "flip_table",
    "gathered",
    "held_shares",
    "jackknife_interval",
    "kendall",
    "mean_cosine",
    "median_interval",
    "norm_error",
    "pearson",
    "percentile_interval",
    "quantile_interval",
    "quantiles",
    "rank_correlations",
    "reach",
    "relative_medians",
    "relative_residual",
    "share_table",
    "slope_through_origin",
    "spearman",
    "summarise",
    "validity_medians",
    "weighted_median",
    "with_derived",
    "within_strata",
    "without_each",
]
