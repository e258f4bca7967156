"""Errors of each network on each benchmark before any image is discarded.

Where the paper's curves start; those of pruned networks are in ``table_6_pruned``.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from paper_figures.record import Column, Item, Missing, Table
from paper_figures.runs import Material


def make(material: Material) -> Iterator[Table]:
    """Make the table, a row for each benchmark and network."""
    if not material.evaluations:
        message = "no folder of prefiqs edc is given"
        raise Missing(message)
    parts = [evaluation.verification for evaluation in material.evaluations]
    every = pd.concat(parts, ignore_index=True)
    wide = every.pivot_table(
        index=["benchmark", "verifier"], columns="fmr", values="fnmr", sort=False
    )
    eer = every.groupby(["benchmark", "verifier"], sort=False)["eer"].first()
    columns = [Column("EER", eer.loc[wide.index].to_numpy(np.float64), digits=4)]
    for fmr in sorted(wide.columns, reverse=True):
        value = wide[fmr].to_numpy(np.float64)
        columns.append(Column(f"FNMR at FMR {fmr:g}", value, digits=4))
    yield Table(
        "table_7_verification",
        "Verification errors of each network, nothing discarded.",
        ("benchmark", "network"),
        list(wide.index),
        columns,
    )


ITEM = Item("table_7_verification", make)
