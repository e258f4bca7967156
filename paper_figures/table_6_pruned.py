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
    values = ["accuracy", "accuracy_low", "accuracy_high", "eer"]
    every = once(every, _KEY, values, "errors when pruned")
    for verifier, own in every.groupby("verifier", sort=False):
        pairs = own[["mask", "sparsity"]].drop_duplicates()
        order = pairs.groupby("mask", sort=False)["sparsity"]  # the unpruned one first
        rows = [(mask, level) for mask, levels in order for level in sorted(levels)]
        wide = own.pivot(index=["mask", "sparsity"], columns="benchmark").reindex(rows)
        columns = []
        for benchmark in dict.fromkeys(own["benchmark"]):
            accuracy, low, high, eer = (
                100 * wide[name, benchmark].to_numpy(np.float64) for name in values
            )
            if np.isnan(accuracy).all():
                made = Column(f"{benchmark}, EER", eer, better="lower", digits=2)
            else:
                title = f"{benchmark}, accuracy"
                made = Column(title, accuracy, low, high, better="higher", digits=2)
            columns.append(made)
        yield Table(
            as_folder(f"table_6_pruned_{verifier}"),
            f"Verification by {verifier} when it is pruned, in %. Accuracy: ten folds "
            "in the order of the list of pairs, each with the best threshold of the "
            "others, and the 95% interval over folds, where nobody is in two of them; "
            "EER: equal error rate, of benchmarks that are no such list.",
            ("mask", "sparsity"),
            [(str(mask), f"{level:g}") for mask, level in rows],
            columns,
            ranked=False,
        )


ITEM = Item("table_6_pruned", make)
