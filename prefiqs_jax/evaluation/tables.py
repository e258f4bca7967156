"""Tables of an evaluation: all its numbers, and areas as papers lay them out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefiqs_jax.evaluation.compare import Comparison
from prefiqs_jax.plots import det_points
from prefiqs_jax.quality import METHODS

if TYPE_CHECKING:
    import pandas as pd

THOUSANDTHS = 1000
"""Papers print areas times this."""
NOT_IN_MEAN = "xqlfw"
"""Kind or name of the benchmark that papers leave out of the mean: its pairs were
chosen by the scores of SER-FIQ."""


def paper_table(areas: "pd.DataFrame", fmr: float, verifier: str) -> "pd.DataFrame":
    """Lay areas out as papers do: a row for each quality, a column for each benchmark.

    Parameters
    ----------
    areas
        Columns benchmark, kind, verifier, scorer, quality, fmr, pauc and tells.
    fmr
        Rate of the areas to show.
    verifier
        Network whose errors they are.

    Returns
    -------
    pandas.DataFrame
        Index scorer and quality; a column for each benchmark, in the order of the
        areas, and ``mean`` over all but ``NOT_IN_MEAN``, where every one of them has an
        area. All times 1000. A benchmark with too few errors to tell qualities apart
        has NaN, and is left out of the mean.
    """
    rows = areas.loc[(areas["fmr"] == fmr) & (areas["verifier"] == verifier)]
    order = rows[["scorer", "quality"]].drop_duplicates()
    told = rows.assign(pauc=rows["pauc"].where(rows["tells"]))
    table = told.pivot(index=["scorer", "quality"], columns="benchmark", values="pauc")
    benchmarks = list(dict.fromkeys(rows["benchmark"]))
    index = list(order.itertuples(index=False, name=None))
    table = THOUSANDTHS * table.reindex(index)[benchmarks]
    kinds = dict(zip(rows["benchmark"], rows["kind"], strict=True))
    silent = set(rows.loc[~rows["tells"], "benchmark"])
    in_mean = [
        name
        for name in benchmarks
        if NOT_IN_MEAN not in (kinds[name], name.lower()) and name not in silent
    ]
    if in_mean:
        # Means over different sets could not be compared.
        table["mean"] = table[in_mean].mean(axis=1, skipna=False)
    table.columns.name = None
    return table


def evaluation_tables(
    found: Sequence[Comparison],
    pruned: "Sequence[pd.DataFrame]",
    methods: Sequence[str],
    skipped: Sequence[tuple[str, str]],
) -> "dict[str, pd.DataFrame]":
    """Make the tables of an evaluation, by name.

    Areas and curves of all comparisons, verification (errors before any discard), det
    (the points that are drawn), methods (what the computed qualities cost), left_out
    (benchmark, network and image, and the reason), and pruned_verification if there is
    any: of :func:`prefiqs_jax.evaluation.pruned.verify_pruned`.
    """
    import pandas as pd

    verification = [each.verification.drop(columns="scorer") for each in found]
    dets = {(each.benchmark, each.verifier): each.det for each in found}
    points = []
    for (benchmark, verifier), curve in dets.items():
        fmr, fnmr = det_points(curve)
        who = {"benchmark": benchmark, "verifier": verifier}
        points.append(pd.DataFrame(who | {"fmr": fmr, "fnmr": fnmr}))
    costs = [(name, METHODS[name].forwards, METHODS[name].source) for name in methods]
    tables = {
        "areas": pd.concat([each.areas for each in found], ignore_index=True),
        "curves": pd.concat([each.points for each in found], ignore_index=True),
        "verification": pd.concat(verification, ignore_index=True).drop_duplicates(
            ignore_index=True
        ),
        "det": pd.concat(points, ignore_index=True),
        "methods": pd.DataFrame(costs, columns=["method", "forward_passes", "source"]),
        "left_out": pd.DataFrame(skipped, columns=["image", "reason"]),
    }
    if pruned:
        tables["pruned_verification"] = pd.concat(pruned, ignore_index=True)
    return tables
