"""Areas under the curves with their intervals, one figure a benchmark and network."""

from collections.abc import Iterator
from typing import Any

from matplotlib.figure import Figure

from paper_figures.areas import gather, printed
from paper_figures.record import PAGE_IN, Drawn, Item
from paper_figures.runs import Material
from prefiqs_jax import plots
from prefiqs_jax.evaluation.benchmarks import as_folder


def make(material: Material) -> Iterator[Drawn]:
    """Draw the areas of every quality of each evaluation."""
    gather(material)  # refuses evaluations that are at odds
    for evaluation in material.evaluations:
        keys = ["benchmark", "verifier", "scorer"]
        groups: Any = evaluation.areas.groupby(keys, sort=False)
        for (benchmark, verifier, scorer), own in groups:
            who = verifier if verifier == scorer else f"{verifier}_scored_by_{scorer}"
            row = own.iloc[0]
            reference = printed(row["reference"])
            caption = (
                f"Areas under the curves up to {row['max_discard']:g} on {benchmark}: "
                f"{verifier} verifies, {scorer} scores. Bars are 95 % intervals, each "
                f"by itself. The diamond is the reference, {reference}; a "
                "filled marker says that a quality differs from it: the interval of "
                "the difference excludes 0, adjusted for all of this figure together "
                "(max-t)."
            )
            drawing = plots.Drawing(
                as_folder(f"figure_2_pauc_{evaluation.name}_{benchmark}_{who}"),
                plots.pauc_intervals(
                    Figure(figsize=(PAGE_IN, 3)),
                    own.assign(quality=own["quality"].map(printed)),
                ),
                "Areas under the curves",
                caption,
                "Areas under error-versus-discard curves, by quality.",
            )
            yield Drawn(drawing, {"": own})


ITEM = Item("figure_2_pauc", make)
