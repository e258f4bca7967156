"""Mask ablation: pAUC by mask and sparsity, and agreement with the first order.

The paper's ablation of what is pruned: single weights by magnitude, structures, and
random weights. The areas come from evaluations with different masks (``prefiqs edc
--mask``), the agreement from ``prefiqs compare-masks``.
"""

from collections.abc import Iterator

import numpy as np

from paper_figures.areas import about, area_columns, networks, pruned_areas, rates
from paper_figures.record import Better, Column, Item, Missing, Table
from paper_figures.runs import Comparison, Material
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.tables import THOUSANDTHS
from prefiqs_jax.quality.shared import PREFIQS

_COMPARED: tuple[tuple[str, str, Better, int, int], ...] = (
    ("mean_drift", "mean drift", "", 1, 3),
    ("delta_norm_relative", "‖δ‖ / ‖θ‖", "", 1, 3),
    ("median_relative_residual", "relative residual", "lower", 1, 3),
    ("spearman", "Spearman ρ", "higher", 1, 3),
    ("separation", "AUROC of drift", "higher", 1, 3),
    ("pauc", "pAUC × 10³", "lower", THOUSANDTHS, 2),
)
"""Statistic, title, better end, factor and digits."""


def make(material: Material) -> Iterator[Table]:
    """Make a table for each rate, and one for each comparison of masks."""
    several = len({each.mask for each in material.evaluations if each.mask}) > 1
    if several:
        yield from _areas(material)
    for comparison in material.comparisons:
        yield _compared(comparison)
    if not several and not material.comparisons:
        message = (
            "neither a folder of prefiqs compare-masks nor two of prefiqs edc with "
            "different masks is given"
        )
        raise Missing(message)


def _areas(material: Material) -> Iterator[Table]:
    areas = pruned_areas(material, [PREFIQS])
    keys = list(zip(areas["mask"], areas["sparsity"], strict=True))
    labels = {f"{mask} at {level:g}": (mask, f"{level:g}") for mask, level in keys}
    areas = areas.assign(quality=[f"{mask} at {level:g}" for mask, level in keys])
    for fmr in rates(areas):
        names, columns = area_columns(areas, fmr, networks(areas))
        yield Table(
            f"table_3_masks_fmr{fmr:g}",
            f"PreFIQs by mask and sparsity, same-model. {about(areas, fmr)}",
            ("mask", "sparsity"),
            [labels[name] for name in names],
            columns,
        )


def _compared(comparison: Comparison) -> Table:
    masks = comparison.masks
    columns = []
    for name, title, better, factor, digits in _COMPARED:
        ends = [name, f"{name}_low", f"{name}_high"]
        known = [
            factor * masks[each].to_numpy(np.float64) if each in masks else None
            for each in ends
        ]
        value, low, high = known
        if value is not None and np.isfinite(value).any():
            columns.append(Column(title, value, low, high, better, digits))
    return Table(
        as_folder(f"table_3_masks_{comparison.name}"),
        f"Masks on the same images ({comparison.name}). In brackets 95 % intervals, "
        "each by itself. At one sparsity masks differ in how far they move embeddings, "
        "and the first order is worse the farther they move. The relative residual is "
        "its median over the images.",
        ("mask", "sparsity"),
        [
            (str(mask), f"{level:g}")
            for mask, level in zip(masks["mask"], masks["sparsity"], strict=True)
        ],
        columns,
        ranked=False,
    )


ITEM = Item("table_3_masks", make)
