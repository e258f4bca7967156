"""Sparsity ablation: pAUC of PreFIQs at each sparsity, one table a mask.

The paper's ablation of the sparsity ρ, 0.1 to 0.9, same-model, with its mean over
benchmarks and networks.
"""

from collections.abc import Iterator

from paper_figures.areas import about, area_columns, networks, pruned_areas, rates
from paper_figures.record import Item, Table
from paper_figures.runs import Material
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.quality.shared import PREFIQS


def make(material: Material) -> Iterator[Table]:
    """Make a table for each mask and rate."""
    areas = pruned_areas(material, [PREFIQS]).sort_values("sparsity", kind="stable")
    for mask, own in areas.groupby("mask", sort=False):
        own = own.assign(quality=[f"{level:g}" for level in own["sparsity"]])
        for fmr in rates(own):
            levels, columns = area_columns(own, fmr, networks(own))
            yield Table(
                as_folder(f"table_2_sparsities_{mask}_fmr{fmr:g}"),
                f"PreFIQs over sparsity, mask {mask}, same-model. {about(own, fmr)}",
                ("sparsity",),
                [(level,) for level in levels],
                columns,
            )


ITEM = Item("table_2_sparsities", make)
