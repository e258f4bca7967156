"""First order beside the pruned network: pAUC of both at each sparsity.

The paper's comparison of the Jacobian-vector product with the discrete drift: a quality
from the first order, which needs no pruned network, and PreFIQs itself.
"""

from collections.abc import Iterator

from paper_figures.areas import (
    PRUNED,
    about,
    area_columns,
    networks,
    pruned_areas,
    quality_label,
    rates,
)
from paper_figures.record import Item, Missing, Table
from paper_figures.runs import Material
from prefiqs_jax.evaluation.benchmarks import as_folder


def make(material: Material) -> Iterator[Table]:
    """Make a table for each mask and rate."""
    areas = pruned_areas(material, list(PRUNED)).sort_values("sparsity", kind="stable")
    if len(set(areas["method"])) < len(PRUNED):
        message = "no evaluation has both prefiqs and first-order"
        raise Missing(message)
    for mask, own in areas.groupby("mask", sort=False):
        labels = {
            quality_label(method, level): (f"{level:g}", PRUNED[method])
            for method, level in zip(own["method"], own["sparsity"], strict=True)
        }
        shown = [
            quality_label(method, level)
            for method, level in zip(own["method"], own["sparsity"], strict=True)
        ]
        own = own.assign(quality=shown)
        for fmr in rates(own):
            names, columns = area_columns(own, fmr, networks(own))
            yield Table(
                as_folder(f"table_4_first_order_{mask}_fmr{fmr:g}"),
                f"Drift of the pruned network (PreFIQs) and first order, mask {mask}, "
                f"same-model. {about(own, fmr)}",
                ("sparsity", "quality"),
                [labels[name] for name in names],
                columns,
            )


ITEM = Item("table_4_first_order", make)
