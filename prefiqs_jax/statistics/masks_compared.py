"""Compare masks on the same images: tables with intervals, from rows alone."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Int

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.cautions import gathered
from prefiqs_jax.statistics.jackknife import deletion_groups
from prefiqs_jax.statistics.paired import (
    Point,
    differences_at_sparsity,
    differences_matched,
)
from prefiqs_jax.statistics.replicated import images_of, replicate
from prefiqs_jax.statistics.rounding import ROUNDING, with_derived
from prefiqs_jax.statistics.separation import separation_table
from prefiqs_jax.statistics.summary import summarise

if TYPE_CHECKING:
    import pandas as pd

_OWN = ("spearman", "median_relative_residual", "mean_cosine")
_RANKED = ("relative_residual", "spearman", "separation")


class MaskComparison(NamedTuple):
    """Tables of a comparison of masks on the same images."""

    masks: "pd.DataFrame"
    """A line for each mask and sparsity: achieved_sparsity, delta_norm_relative (‖δ‖ /
    ‖θ‖, NaN where unknown), images, below_rounding, clusters, resampled_by, mean_drift,
    mean_first_order; spearman, median_relative_residual, mean_cosine and separation
    (area under the ROC curve of drift, clean against degraded images), each with
    _low and _high; caution."""
    ranked: "pd.DataFrame"
    """A line for each mask, the best predicted first: its change from the reference at
    equal mean drift, see ``matched``."""
    differences: "pd.DataFrame"
    """Paired differences from the reference at equal sparsity, see
    :func:`~prefiqs_jax.statistics.paired.differences_at_sparsity`."""
    matched: "pd.DataFrame"
    """Paired differences at equal mean drift and at equal ‖δ‖, see
    :func:`~prefiqs_jax.statistics.paired.differences_matched`."""
    separation: "pd.DataFrame"
    """Separation of clean and degraded images for each mask, sparsity and severity, see
    :func:`~prefiqs_jax.statistics.separation.separation_table`."""
    notes: list[str]
    """What limits the intervals, one sentence each."""


def compare_masks(
    rows: "pd.DataFrame",
    *,
    reference: str | None = None,
    delta_norms: Mapping[Point, float] | None = None,
    level: float = 0.95,
    rounding: float = ROUNDING,
    on_progress: Callable[[int], object] | None = None,
) -> MaskComparison:
    """Compare masks by how well the first order predicts what they do to embeddings.

    All intervals leave out one person at a time (see :func:`summarise`); those of
    differences are paired, because every mask has the same images, and hold together
    for all differences of one statistic (max-t).

    Parameters
    ----------
    rows
        Rows of one network and two masks or more, as
        :func:`prefiqs_jax.sweep_arrays` and :func:`prefiqs_jax.results.read` give them;
        perhaps with a column severity (0 = clean), which makes the separation, and
        copy_of, see :func:`prefiqs_jax.results.with_image_columns`.
    reference
        Mask that the others are compared to; None = that of the first row.
    delta_norms
        ‖δ‖ / ‖θ‖ by (mask, sparsity), see :func:`prefiqs_jax.masks.norms.delta_norms`;
        without it nothing is compared at equal ‖δ‖.
    level
        Coverage of the intervals.
    rounding
        Change that is rounding, by the precision of the rows, see
        :data:`~prefiqs_jax.statistics.rounding.ROUNDING_AT`.
    on_progress
        Called with 1 after each mask and sparsity.

    Returns
    -------
    MaskComparison
        Tables.

    Raises
    ------
    InputError
        If there are fewer than two masks, more than one network, no such reference, two
        masks with other images; and as :func:`summarise` does.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.concat([pd.DataFrame({"backbone": "toy", "mask": mask,
    ...     "image": list("abcd"), "identity": list("pqrs"), "sparsity": 0.5,
    ...     "achieved_sparsity": 0.5, "first_order": [0.1, 0.2, 0.3, 0.4],
    ...     "drift": [0.1, 0.2, 0.3, 0.4], "residual": residual, "cosine": 1.0})
    ...     for mask, residual in (("one", 0.01), ("other", 0.02))])
    >>> found = compare_masks(rows)
    >>> found.ranked[["mask", "residual_ratio"]].round(6).values.tolist()
    [['one', 1.0], ['other', 2.0]]
    """
    import pandas as pd

    _check(rows)
    names = list(dict.fromkeys(rows["mask"]))
    against = names[0] if reference is None else reference
    if against not in names:
        message = f"reference {against} is none of the masks: {', '.join(names)}"
        raise InputError(message)
    norms = dict(delta_norms or {})
    summary = summarise(rows, level=level, rounding=rounding, on_progress=on_progress)
    derived = with_derived(rows, rounding)
    images, clusters = _clusters(rows)
    groups = deletion_groups(clusters)
    own, replicates, separated = {}, {}, []
    parts: Any = derived.groupby(["mask", "sparsity"], sort=False)
    for (mask, sparsity), part in parts:
        places = images.get_indexer(part["image"].tolist())
        point = (str(mask), float(sparsity))
        own[point] = images_of(part, places)
        replicates[point] = replicate(own[point], groups)
        if "severity" in part:
            table = separation_table(part, clusters[places], level)
            table.insert(0, "sparsity", point[1])
            table.insert(0, "mask", point[0])
            separated.append(table)
    order = sorted(own, key=lambda point: (names.index(point[0]), point[1]))
    own = {point: own[point] for point in order}
    matched = differences_matched(replicates, norms, against, level)
    separation = pd.concat(separated, ignore_index=True) if separated else _empty()
    return MaskComparison(
        masks=_masks(derived, summary, separation, norms, order),
        ranked=_ranked(matched, names, against),
        differences=differences_at_sparsity(own, replicates, groups, against, level),
        matched=matched,
        separation=separation,
        notes=_notes(summary),
    )


def _check(rows: "pd.DataFrame") -> None:
    names = list(dict.fromkeys(rows["mask"])) if len(rows) else []
    if len(names) < 2:
        message = (
            f"a comparison takes two masks or more, and here is {len(names)}"
            f"{''.join(f': {name}' for name in names)}; give more rows"
        )
        raise InputError(message)
    networks = list(dict.fromkeys(rows["backbone"]))
    if len(networks) > 1:
        message = (
            f"the rows are of several networks, {', '.join(networks)}; compare masks "
            "on one"
        )
        raise InputError(message)
    known = {name: set(part["image"]) for name, part in rows.groupby("mask")}
    for name in names[1:]:
        if odd := known[names[0]] ^ known[name]:
            message = (
                f"image {min(odd)} has rows of only one of {names[0]} and {name}; "
                "compare masks on the same images"
            )
            raise InputError(message)


def _clusters(rows: "pd.DataFrame") -> "tuple[pd.Index, Int[np.ndarray, ' images']]":
    """Give the images in a fixed order, and the cluster of each."""
    import pandas as pd

    images = rows.drop_duplicates("image").sort_values("image")
    by = "image"
    if np.all(rows["identity"].notna()):
        by = "identity"
    elif "copy_of" in rows:
        by = "copy_of"
    clusters, _ = pd.factorize(images[by], sort=True)
    return pd.Index(images["image"]), clusters


def _masks(
    derived: "pd.DataFrame",
    summary: "pd.DataFrame",
    separation: "pd.DataFrame",
    norms: Mapping[Point, float],
    order: list[Point],
) -> "pd.DataFrame":
    """Lay the statistics of each mask and sparsity out in a line."""
    import pandas as pd

    keys = ["mask", "sparsity"]
    parts = dict(list(derived.groupby(keys)))
    statistics = dict(list(summary.groupby(keys)))
    told = separation.loc[separation["severity"] == "all"].set_index(keys)
    lines = []
    for point in order:
        part, found = parts[point], statistics[point].set_index("statistic")
        moved = part.loc[~part["below_rounding"]]
        line = {
            "backbone": part["backbone"].iloc[0],
            "mask": point[0],
            "sparsity": point[1],
            "achieved_sparsity": float(part["achieved_sparsity"].iloc[0]),
            "delta_norm_relative": norms.get(point, np.nan),
            "images": len(moved),
            "below_rounding": len(part) - len(moved),
            "clusters": max(found["clusters"].tolist()),
            "resampled_by": found["resampled_by"].iloc[0],
            "mean_drift": moved["drift"].mean(),
            "mean_first_order": moved["first_order"].mean(),
        }
        for name in _OWN:
            ends = (("", "value"), ("_low", "low"), ("_high", "high"))
            line |= {f"{name}{end}": found.loc[name, column] for end, column in ends}
        its = told.loc[point] if point in told.index else {}
        ends = (("", "auroc"), ("_low", "low"), ("_high", "high"))
        line |= {f"separation{end}": its.get(column, np.nan) for end, column in ends}
        line["caution"] = "; ".join(
            dict.fromkeys(
                phrase
                for words in found.loc[list(_OWN), "caution"]
                for phrase in words.split("; ")
                if phrase
            )
        )
        lines.append(line)
    return pd.DataFrame(lines)


def _ranked(
    matched: "pd.DataFrame", names: list[str], reference: str
) -> "pd.DataFrame":
    """Rank the masks by their relative residual at equal mean drift."""
    import pandas as pd

    ends = ("change", "low", "high")
    by_key = matched.set_index(["mask", "statistic", "at"])
    lines = []
    for name in names:
        line = {"mask": name, "is_reference": name == reference}
        for statistic in _RANKED:
            short = statistic.replace("relative_residual", "residual_ratio")
            for at, end in (("mean_drift", ""), ("delta_norm_relative", "_at_delta")):
                neutral = 1.0 if statistic == "relative_residual" else 0.0
                values = (
                    (neutral,) * 3
                    if name == reference
                    else by_key.loc[(name, statistic, at), list(ends)].tolist()
                )
                labels = (f"{short}{end}", f"{short}{end}_low", f"{short}{end}_high")
                line |= dict(zip(labels, values, strict=True))
        if name != reference:
            place = (name, "relative_residual", "mean_drift")
            line["lowest_drift"], line["highest_drift"] = by_key.loc[
                place, ["lowest", "highest"]
            ].tolist()
            line["differs"] = bool(by_key.loc[place, "differs"])
        else:
            line |= {"lowest_drift": np.nan, "highest_drift": np.nan, "differs": False}
        lines.append(line)
    table = pd.DataFrame(lines).sort_values("residual_ratio", kind="stable")
    known = table["residual_ratio"].notna()
    table.insert(0, "rank", known.cumsum().where(known).astype("Int64"))
    return table.reset_index(drop=True)


def _notes(summary: "pd.DataFrame") -> list[str]:
    """List the cautions; one that not every mask has names its mask."""
    found: dict[str, list[str]] = {}
    chosen = summary.loc[summary["statistic"].isin(_OWN)]
    parts = list(chosen.groupby("mask", sort=False))
    for mask, part in parts:
        for sentence in gathered(part):
            found.setdefault(sentence, []).append(str(mask))
    return [
        sentence if len(masks) == len(parts) else f"{', '.join(masks)}: {sentence}"
        for sentence, masks in found.items()
    ]


def _empty() -> "pd.DataFrame":
    import pandas as pd

    columns = ["mask", "sparsity", "severity", "auroc", "low", "high"]
    return pd.DataFrame(columns=[*columns, "clean", "degraded", "clusters"])
