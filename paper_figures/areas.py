"""Areas of all evaluations together, as the columns of the paper's tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from paper_figures.record import Column, Missing
from paper_figures.runs import Material
from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation import paper_table
from prefiqs_jax.evaluation.figures import SHOWN_SPARSITY
from prefiqs_jax.evaluation.tables import THOUSANDTHS
from prefiqs_jax.quality.shared import FIRST_ORDER, PREFIQS

UNIT = "pAUC × 10³"
KEY = ["benchmark", "verifier", "scorer", "quality", "mask", "fmr"]
PRUNED = {PREFIQS: "PreFIQs", FIRST_ORDER: "first order"}
"""Methods that have a mask and sparsities, and how they are printed."""


def gather(material: Material) -> pd.DataFrame:
    """Put the areas of all evaluations into one table.

    Returns
    -------
    pandas.DataFrame
        Columns of ``tables/areas.csv`` of ``prefiqs edc``, and method, sparsity (NaN
        for methods without) and mask (empty for methods without).

    Raises
    ------
    Missing
        If there is no evaluation.
    InputError
        If they differ in protocol, or two have the same area with other values.
    """
    if not material.evaluations:
        message = "no folder of prefiqs edc is given"
        raise Missing(message)
    parts = []
    for evaluation in material.evaluations:
        areas = evaluation.areas.copy()
        split = areas["quality"].str.partition("/")
        is_pruned = split[0].isin(list(PRUNED))
        areas["method"] = split[0].where(is_pruned, areas["quality"])
        levels = pd.to_numeric(split[2].where(is_pruned), errors="coerce")
        areas["sparsity"] = levels
        areas["mask"] = np.where(is_pruned, evaluation.mask, "")
        parts.append(areas)
    every = pd.concat(parts, ignore_index=True)
    for name in ("protocol", "max_discard"):
        values = every[name].unique().tolist()
        if len(values) > 1:
            message = (
                f"the evaluations have {name} {', '.join(map(str, values))}; areas "
                "under different ones cannot be compared: draw them one by one"
            )
            raise InputError(message)
    return once(every, KEY, ["pauc"], "areas of {quality}")


def once(
    table: pd.DataFrame, key: Sequence[str], values: Sequence[str], what: str
) -> pd.DataFrame:
    """Take each row of several evaluations once, told apart by ``key``.

    Raises InputError, that they have different ``what``, if two have other values.
    """
    distinct = table.drop_duplicates([*key, *values])
    twice = distinct.duplicated(key)
    if twice.any():
        row = distinct[twice].iloc[0]
        message = (
            f"two evaluations have different {what.format(**row)} on "
            f"{row['benchmark']} with {row['verifier']}; give one of them"
        )
        raise InputError(message)
    return distinct.reset_index(drop=True)


def pruned_areas(material: Material, methods: Sequence[str]) -> pd.DataFrame:
    """Take the same-model areas of some of ``PRUNED``; Missing if there are none."""
    areas = gather(material)
    own = areas["verifier"] == areas["scorer"]
    chosen = areas.loc[own & areas["method"].isin(methods)]
    if not len(chosen):
        message = f"no evaluation has {' or '.join(methods)} (prefiqs edc --methods)"
        raise Missing(message)
    return chosen


def area_columns(
    areas: pd.DataFrame, fmr: float, pairs: Sequence[tuple[str, str]]
) -> tuple[list[str], list[Column]]:
    """Lay areas out: a row for each quality, a column for each benchmark and network.

    Parameters
    ----------
    areas
        Of :func:`gather`; ``quality`` tells the rows apart.
    fmr
        Rate to show.
    pairs
        Verifier and scorer of each network shown.

    Returns
    -------
    tuple
        Qualities, and columns times 1000, the last of them the mean (of the means of
        several networks) as :func:`prefiqs_jax.evaluation.paper_table` defines it; none
        where no benchmark can tell.
    """
    tables, columns, means = [], [], []
    for verifier, scorer in pairs:
        own = areas.loc[areas["scorer"] == scorer]
        table = paper_table(own, fmr, verifier).droplevel("scorer")
        tables.append((verifier, own.loc[own["verifier"] == verifier], table))
    qualities = list(dict.fromkeys(q for _, _, table in tables for q in table.index))
    for verifier, own, table in tables:
        at = own.loc[own["fmr"] == fmr]
        at = at.assign(**{end: at[end].where(at["tells"]) for end in ("low", "high")})
        ends = {
            end: THOUSANDTHS
            * at.pivot(index="quality", columns="benchmark", values=end)
            for end in ("low", "high")
        }
        for name in table.columns:
            value = table[name].reindex(qualities).to_numpy(np.float64)
            if name == "mean":
                means.append(value)
                continue
            low, high = (
                ends[end][name].reindex(qualities).to_numpy(np.float64) for end in ends
            )
            title = name if len(pairs) == 1 else f"{name}, {verifier}"
            columns.append(Column(title, value, low, high, "lower"))
    if len(means) == len(pairs) and len(columns) > 1:
        columns.append(Column("mean", np.mean(means, axis=0), better="lower"))
    return qualities, columns


def networks(areas: pd.DataFrame) -> list[tuple[str, str]]:
    """List verifier and scorer of each pair that has areas, in their order."""
    pairs = areas[["verifier", "scorer"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def rates(areas: pd.DataFrame) -> list[float]:
    """List the false match rates, the highest first."""
    return sorted(areas["fmr"].unique().tolist(), reverse=True)


def about(areas: pd.DataFrame, fmr: float) -> str:
    """Say in words what the areas are."""
    row = areas.iloc[0]
    text = (
        f"{UNIT} up to a discard fraction of {row['max_discard']:g} at FMR {fmr:g}, "
        f"protocol {row['protocol']}; lower is better. In brackets 95 % intervals, "
        "each by itself."
    )
    if not areas.loc[areas["fmr"] == fmr, "tells"].all():
        text += " – : too few errors to tell qualities apart."
    return text


def one_of_each(areas: pd.DataFrame) -> pd.DataFrame:
    """Take one sparsity of each pruned method and mask: that nearest to the paper's.

    Their ``quality`` becomes what is printed, with the mask where there are several.
    """
    several = len(set(areas["mask"]) - {""}) > 1
    away = (areas["sparsity"] - SHOWN_SPARSITY).abs()
    nearest = away.groupby([areas["method"], areas["mask"]]).transform("min")
    chosen = areas.loc[away.isna() | (away == nearest)].copy()
    chosen["quality"] = [
        quality_label(method, sparsity, mask if several else "")
        for method, sparsity, mask in zip(
            chosen["method"], chosen["sparsity"], chosen["mask"], strict=True
        )
    ]
    return chosen


def quality_label(method: str, sparsity: float, mask: str = "") -> str:
    """Write a quality as it is printed.

    >>> quality_label("prefiqs", 0.4), quality_label("norm", float("nan"))
    ('PreFIQs, 0.4', 'norm')
    """
    known = [f"{sparsity:g}"] * (sparsity == sparsity) + [mask] * bool(mask)
    return ", ".join([PRUNED.get(method, method), *known])


def printed(quality: str) -> str:
    """Write the name of a quality as it is printed.

    >>> printed("first-order/0.4"), printed("grafiqs/block1")
    ('first order, 0.4', 'grafiqs/block1')
    """
    method, _, level = quality.partition("/")
    return quality_label(method, float(level)) if method in PRUNED else quality
