"""Recognition with pruned networks: accuracy at each sparsity, for each mask.

The paper's table of what pruning costs in accuracy on LFW and its successors, by
unstructured, structured and random masks (``prefiqs edc --flip --verify-pruned``, once
a mask). Benchmarks that are no lists of pairs have the equal error rate instead.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from paper_figures.areas import once
from paper_figures.record import Column, Item, Missing, Table
from paper_figures.runs import Material
from prefiqs_jax.evaluation.benchmarks import as_folder

_KEY = ["benchmark", "verifier", "mask", "sparsity"]


def make(material: Material) -> Iterator[Table]:
    """Make a table for each network, a row for each mask and sparsity."""
    parts = [each.pruned for each in material.evaluations if each.pruned is not None]
    if not parts:
        message = "no evaluation has pruned networks (prefiqs edc --verify-pruned)"
        raise Missing(message)
    every = pd.concat(parts, ignore_index=True)
    # The unpruned network is that of every mask, and the errors of a rate are not here.
    is_dense = every["sparsity"] == 0
    every["mask"] = every["mask"].where(~is_dense, "unpruned")
    every = once(every, _KEY, ["accuracy", "eer"], "errors when pruned")
    for verifier, own in every.groupby("verifier", sort=False):
        pairs = own[["mask", "sparsity"]].drop_duplicates()
        order = pairs.groupby("mask", sort=False)["sparsity"]  # the unpruned one first
        rows = [(mask, level) for mask, levels in order for level in sorted(levels)]
        wide = own.pivot(index=["mask", "sparsity"], columns="benchmark").reindex(rows)
        columns = []
        for benchmark in dict.fromkeys(own["benchmark"]):
            what, better = "accuracy", "higher"
            value = wide["accuracy", benchmark].to_numpy(np.float64)
            if np.isnan(value).all():
                what, better = "EER", "lower"
                value = wide["eer", benchmark].to_numpy(np.float64)
            title = f"{benchmark}, {what}"
            columns.append(Column(title, 100 * value, better=better, digits=2))
        yield Table(
            as_folder(f"table_pruned_{verifier}"),
            f"Verification by {verifier} when it is pruned, in %. Accuracy: ten folds "
            "in the order of the list of pairs, each with the best threshold of the "
            "others; EER: equal error rate, of benchmarks that are no such list.",
            ("mask", "sparsity"),
            [(str(mask), f"{level:g}") for mask, level in rows],
            columns,
            ranked=False,
        )


ITEM = Item("table_pruned", make)
