"""Agreement of drift and first order at each sparsity, one table a run.

What the paper's first-order theory claims, in numbers: how much of the embedding's
change the Jacobian-vector product explains in rank, norm and direction.
"""

from collections.abc import Iterator

import numpy as np

from paper_figures.record import Column, Item, Table
from paper_figures.runs import Material, Sweep
from paper_figures.sweeps import each_sweep
from prefiqs_jax.evaluation.benchmarks import as_folder

TITLES = {
    "median_relative_residual": "relative residual",
    "spearman": "Spearman ρ",
    "kendall": "Kendall τ",
    "pearson": "Pearson r",
    "slope": "slope",
    "mean_cosine": "mean cosine",
}


def make(material: Material) -> Iterator[Table]:
    """Make a table for each run."""
    for sweep in each_sweep(material):
        yield _table(sweep)


def _table(sweep: Sweep) -> Table:
    statistics = sweep.tables["statistics"]
    levels = sorted(statistics["sparsity"].unique().tolist())
    columns = []
    for name, title in TITLES.items():
        own = statistics.loc[statistics["statistic"] == name].set_index("sparsity")
        value, low, high = (
            own.loc[levels, end].to_numpy(np.float64)
            for end in ("value", "low", "high")
        )
        columns.append(Column(title, value, low, high))
    images = statistics["images"].max()
    people = statistics["clusters"].max()
    unit = "people" if statistics["resampled_by"].iloc[0] == "identity" else "images"
    return Table(
        as_folder(f"table_5_agreement_{sweep.name}"),
        f"Agreement of drift and first order: {sweep.label}, {images} images. In "
        f"brackets 95 % intervals over {people} {unit}, each by itself. "
        "The relative residual, of which 0 is exact, is its median over the images.",
        ("sparsity",),
        [(f"{level:g}",) for level in levels],
        columns,
    )


ITEM = Item("table_5_agreement", make)
