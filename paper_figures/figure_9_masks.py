"""Masks at equal mean drift: agreement with the first order, and pAUC.

The paper's ablation of what is pruned, where masks are compared fairly: at one sparsity
they differ in how far they move embeddings.
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from paper_figures.record import COLUMN_IN, Drawn, Item, Missing
from paper_figures.runs import Material
from prefiqs_jax import plots
from prefiqs_jax.evaluation.benchmarks import as_folder

_SHOWN = ("median_relative_residual", "spearman", "separation", "pauc")


def make(material: Material) -> Iterator[Drawn]:
    """Draw a figure for each comparison of masks."""
    if not material.comparisons:
        message = "no folder of prefiqs compare-masks is given"
        raise Missing(message)
    for comparison in material.comparisons:
        masks = comparison.masks
        shown = [name for name in _SHOWN if np.any(masks[name].notna())]
        figure = Figure(figsize=(COLUMN_IN, 2))
        drawing = plots.Drawing(
            as_folder(f"figure_9_masks_{comparison.name}"),
            plots.mask_curve_panels(figure, masks, "mean_drift", shown),
            "Masks at equal mean drift",
            "Masks on the same images. A line joins the sparsities of a mask; whiskers "
            "are 95 % intervals, each by itself.",
            "Statistics of each mask over mean drift.",
        )
        yield Drawn(drawing, {"": masks})


ITEM = Item("figure_9_masks", make)
