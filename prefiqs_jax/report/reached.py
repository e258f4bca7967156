"""Up to which sparsity the first order holds for most images, in words."""

from typing import TYPE_CHECKING, Any

import numpy as np

from prefiqs_jax.plots.labels import counted
from prefiqs_jax.report.finding import percent
from prefiqs_jax.report.page import Grid, Section

if TYPE_CHECKING:
    import pandas as pd


def reach_sentence(table: "pd.DataFrame") -> str:
    """Say it of all images, and of each stratum; nothing if no image moved.

    Parameters
    ----------
    table
        Of :func:`prefiqs_jax.statistics.reach`.
    """
    share = float(np.max(table["share"].to_numpy()))
    lines = table.loc[(table["share"] == share) & table["value"].notna()]
    if not len(lines):
        return ""
    first, *others = lines.to_dict("records")
    within = percent(first["tolerance"])
    text = (
        f"The relative residual is within {within} for {percent(share)} of the images"
    )
    text += f" {_up_to(first)}"
    if others:
        told = "; ".join(
            f"{each['strata']} {each['stratum']}: {reach_cell(each)}" for each in others
        )
        text += f" ({told})"
    return f"{text}."


def _up_to(line: dict[str, Any]) -> str:
    where = f"up to sparsity {reach_cell(line)}"
    if np.isposinf(line["value"]):
        where = f"up to the highest sparsity, {line['highest']:.3g}"
    elif np.isneginf(line["value"]):
        where = (
            f"at none of the sparsities, the lowest of which is {line['lowest']:.3g}"
        )
    elif np.isfinite(line["low"]) or np.isfinite(line["high"]):
        where += ", 95 % interval"
    return where


def reach_cell(line: dict[str, Any]) -> str:
    r"""Write a sparsity with its interval; ends beyond those of the run as such.

    >>> line = {"value": 0.24, "low": -np.inf, "high": 0.3, "lowest": 0.1}
    >>> reach_cell(line | {"highest": 0.9}).replace("\N{NO-BREAK SPACE}", " ")
    '0.24 [< 0.1, 0.3]'
    """
    value, low, high = (_end(line, name) for name in ("value", "low", "high"))
    if np.isnan(line["low"]) or low == high == value:
        return value
    return f"{value} [{low}, {high}]"


def _end(line: dict[str, Any], name: str) -> str:
    end = line[name]
    if np.isnan(end):
        return "–"
    if np.isinf(end):
        sign, edge = ("<", "lowest") if end < 0 else (">", "highest")
        return f"{sign}\N{NO-BREAK SPACE}{line[edge]:.3g}"
    return f"{end:.3g}"


def reach_section(table: "pd.DataFrame") -> Section:
    """Lay the table out for the page: a line a stratum, a cell for each share."""
    lines, by_person = [], table["resampled_by"].iloc[0] == "identity"
    for _, part in table.groupby(["strata", "stratum"], sort=False):
        first = part.iloc[0]
        strata, count = first["strata"], f"{first['images']}"
        if by_person:
            count += f"\n{counted(int(first['clusters']), 'person', 'people')}"
        name = "all" if strata == "all" else f"{strata} {first['stratum']}"
        cells = [reach_cell(each) for each in part.to_dict("records")]
        lines.append([name, count, *cells])
    shares = [percent(share) for share in dict.fromkeys(table["share"])]
    grid = Grid(
        "Sparsity up to which the first order holds",
        "Sparsity up to which the relative residual is within "
        f"{percent(table['tolerance'].iloc[0])}, for a share of the images, and its 95 "
        "% interval. Crossings are on straight lines between the sparsities of the "
        "run; < and > are beyond the lowest and the highest. An interval that few "
        "images leave open ends there, too.",
        ["Images", "Count", *(f"for {share} of them" for share in shares)],
        lines,
        ("reach",),
    )
    return Section("reach", "Where the first order holds", [grid])
