"""Agreement of first order and drift: statistics, bootstrap intervals, summary table.

Numbers in, numbers out: nothing here knows networks, pictures, runs or plots.
"""

from prefiqs_jax.statistics.agreement import (
    mean_cosine,
    median_relative_error,
    slope_through_origin,
)
from prefiqs_jax.statistics.bootstrap import bootstrap_weights, percentile_interval
from prefiqs_jax.statistics.correlation import pearson, spearman
from prefiqs_jax.statistics.distribution import point_density, quantiles
from prefiqs_jax.statistics.rank_agreement import kendall
from prefiqs_jax.statistics.summary import STATISTICS, summarise

__all__ = [
    "STATISTICS",
    "bootstrap_weights",
    "kendall",
    "mean_cosine",
    "median_relative_error",
    "pearson",
    "percentile_interval",
    "point_density",
    "quantiles",
    "slope_through_origin",
    "spearman",
    "summarise",
]
