"""Methods by benchmarks: pAUC at each false match rate, same- and cross-model.

The paper's comparison with other methods: same-model, where the network that scores
also verifies, and cross-model, where another one verifies. Its rates are 1e-3 and 1e-4
(``prefiqs edc --fmr 0.001,0.0001 --flip --verifier …``).
"""

from collections.abc import Iterator

from paper_figures.areas import (
    about,
    area_columns,
    gather,
    networks,
    one_of_each,
    rates,
)
from paper_figures.record import Item, Table
from paper_figures.runs import Material
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.qualities import SEVERITY


def make(material: Material) -> Iterator[Table]:
    """Make a table for each rate and each pair of networks."""
    areas = one_of_each(gather(material))
    for verifier, scorer in networks(areas):
        own = areas.loc[(areas["verifier"] == verifier) & (areas["scorer"] == scorer)]
        is_same = verifier == scorer
        who = verifier if is_same else f"{verifier}_scored_by_{scorer}"
        words = "same-model" if is_same else "cross-model"
        for fmr in rates(own):
            names, columns = area_columns(own, fmr, [(verifier, scorer)])
            known = frozenset(n for n, name in enumerate(names) if name == SEVERITY)
            told = (
                " Severity is known of degraded copies, and no method." if known else ""
            )
            yield Table(
                as_folder(f"table_1_methods_{who}_fmr{fmr:g}"),
                f"Methods, {words}: {scorer} scores, {verifier} verifies. "
                f"{about(own, fmr)}{told}",
                ("quality",),
                [(name,) for name in names],
                columns,
                known,
            )


ITEM = Item("table_1_methods", make)
