"""Compare the pruning direction with its controls: is it special? From rows alone."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics.agreement import relative_residual
from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL, caution
from prefiqs_jax.statistics.correlation import spearman
from prefiqs_jax.statistics.jackknife import (
    check_level,
    deletion_groups,
    is_one,
    without_each,
)
from prefiqs_jax.statistics.rounding import ROUNDING
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals
from prefiqs_jax.statistics.weighted import ratio

if TYPE_CHECKING:
    import pandas as pd

RATIOS = ("drift", "first_order", "residual", "relative_residual")
"""Quantities whose means over the images are compared by their ratio; the last is
residual / drift of each image."""
_GIVEN = ("drift", "first_order", "residual", "cosine")
"""Columns of the rows."""
QUANTITIES = (*RATIOS, "cosine")
"""These, and the cosine, whose means are compared by their difference."""
PAIRS = ("pruning, control", "control, control", "pruning, mean of controls")
"""Whose ranks of the images by drift are correlated."""


class ControlComparison(NamedTuple):
    """The pruning direction beside directions of its norm in every layer."""

    means: "pd.DataFrame"
    """A line for each sparsity, control and quantity, see ``QUANTITIES``: observed
    (mean over the images along the pruning direction), control_mean (over replicates,
    too), lowest and highest (of the replicates' means: the null distribution),
    replicates, images, change (observed / control_mean; of the cosine, minus), low,
    high, differs (the interval excludes no change)."""
    ranks: "pd.DataFrame"
    """A line for each sparsity, control and pair, see ``PAIRS``: spearman (over the
    images, of the two drifts; mean over the replicates, or their pairs), lowest and
    highest of these, low, high; excess (of the first pair over the second: below 0,
    pruning ranks images less like a control than two controls do each other),
    excess_low, excess_high, differs."""
    notes: list[str]
    """What limits the intervals, one sentence each."""


class _Level(NamedTuple):
    """One sparsity and control: numbers of each image, and of each replicate."""

    observed: dict[str, NDArray[np.float64]]
    """Quantity to (images,)."""
    control: dict[str, NDArray[np.float64]]
    """Quantity to (replicates, images)."""
    weights: NDArray[np.float64]
    """(1 + groups, images): all of them, then without each group."""


def compare_with_controls(
    rows: "pd.DataFrame",
    controls: "pd.DataFrame",
    *,
    level: float = 0.95,
    rounding: float = ROUNDING,
) -> ControlComparison:
    """Compare what the pruning direction does to embeddings with what controls do.

    Intervals leave out one person at a time (the images of unknown identities one by
    one), are paired, because all directions have the same images, and hold together for
    all sparsities and controls of one quantity, or pair (max-t). They are of the
    directions that were drawn; what others would give is between lowest and highest.

    Parameters
    ----------
    rows
        Rows of one network and mask, as :func:`prefiqs_jax.sweep_arrays` gives them:
        columns image, sparsity, first_order, drift, cosine, residual; perhaps identity,
        backbone, mask and copy_of.
    controls
        The same columns along the controls, and control (its kind) and replicate. Of
        every image that the rows have at a sparsity there is a row for each control and
        replicate there. Sparsities that one of the tables lacks are left out.
    level
        Coverage of the intervals.
    rounding
        Images that moved by no more, along any direction, are left out of that line,
        see :data:`~prefiqs_jax.statistics.rounding.ROUNDING_AT`.

    Returns
    -------
    ControlComparison
        Tables. NaN: an interval over fewer than 3 people, or of a rank correlation that
        is ±1 or undefined without one of them; the correlation of a control with
        itself where there is one replicate; a rank correlation of fewer than 3 images.

    Raises
    ------
    InputError
        If rows are missing, there twice, or not finite; or of several networks or
        masks; if the level is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"image": list("abcd"), "identity": list("pqrs"),
    ...     "sparsity": 0.3, "first_order": 0.2, "drift": [0.1, 0.2, 0.3, 0.4],
    ...     "residual": 0.1, "cosine": 0.9})
    >>> other = rows.assign(control="signs", replicate=0, drift=rows["drift"] / 2)
    >>> found = compare_with_controls(rows, other)
    >>> means = found.means.set_index("quantity")
    >>> means.loc["drift", ["observed", "control_mean", "change"]].round(6).tolist()
    [0.25, 0.125, 2.0]
    """
    import pandas as pd

    check_level(level)
    _check(rows, controls)
    by = "image"
    if "identity" in rows and np.all(rows["identity"].notna()):
        by = "identity"
    elif "copy_of" in rows:
        by = "copy_of"
    images = rows.drop_duplicates("image").sort_values("image")
    codes, _ = pd.factorize(images[by], sort=True)
    groups = pd.Series(deletion_groups(codes), index=images["image"].to_numpy())
    lines: list[dict[str, Any]] = []
    levels: list[_Level] = []
    for sparsity, part in rows.groupby("sparsity"):
        drawn = controls.loc[controls["sparsity"] == sparsity]
        for control, own in drawn.groupby("control", sort=False):
            lines.append({"sparsity": sparsity, "control": control})
            levels.append(_level(part, own, groups, rounding))
    if not levels:
        message = "rows and controls have no sparsity in common; measure both at one"
        raise InputError(message)
    kind = "identity" if by == "identity" else "image"
    return ControlComparison(
        means=pd.DataFrame(list(_means(lines, levels, level))),
        ranks=pd.DataFrame(list(_ranks(lines, levels, level))),
        notes=[
            f"{words[0].upper()}{words[1:]}."
            for words in caution(int(codes.max()) + 1, kind)
        ],
    )


def _check(rows: "pd.DataFrame", controls: "pd.DataFrame") -> None:
    for table, name in ((rows, "rows"), (controls, "rows of controls")):
        if not len(table):
            message = f"there are no {name}; run the sweep with controls"
            raise InputError(message)
        for column in ("backbone", "mask"):
            several = list(dict.fromkeys(table[column])) if column in table else []
            if len(several) > 1:
                found = ", ".join(map(str, several))
                message = f"the {name} are of several: {found}; give one {column}"
                raise InputError(message)
        odd = ~np.isfinite(table[list(_GIVEN[:3])].to_numpy(np.float64)).all(axis=1)
        if odd.any():
            row = table.loc[odd].iloc[0]
            message = (
                f"image {row['image']} at sparsity {row['sparsity']:g} has a drift, "
                f"first order or residual in the {name} that is not finite; leave the "
                "image out"
            )
            raise InputError(message)
    for table, keys in (
        (rows, ["image", "sparsity"]),
        (controls, ["control", "replicate", "image", "sparsity"]),
    ):
        again = table.duplicated(keys)
        if np.any(again):
            row = table.loc[again].iloc[0]
            of = ", ".join(f"{key} {row[key]}" for key in keys)
            message = f"there are two rows of {of}; give each once"
            raise InputError(message)


def _level(
    rows: "pd.DataFrame",
    controls: "pd.DataFrame",
    groups: "pd.Series",
    rounding: float,
) -> _Level:
    """Lay one sparsity and control out by replicate and image."""
    rows = rows.sort_values("image")
    observed = {name: rows[name].to_numpy(np.float64) for name in _GIVEN}
    control = {}
    for name in _GIVEN:
        table = controls.pivot(index="replicate", columns="image", values=name)
        odd = table.columns.symmetric_difference(rows["image"].tolist())
        if len(odd) or (name != "cosine" and table.isna().to_numpy().any()):
            image = odd[0] if len(odd) else table.columns[table.isna().any()][0]
            message = (
                f"image {image} at sparsity {rows['sparsity'].iloc[0]:g} has no row "
                f"along pruning and every replicate of {controls['control'].iloc[0]}; "
                "measure all directions on the same images"
            )
            raise InputError(message)
        control[name] = table[rows["image"].tolist()].to_numpy(np.float64)
    moved = np.maximum(observed["drift"], observed["first_order"]) > rounding
    least = np.maximum(control["drift"], control["first_order"]).min(axis=0)
    moved &= least > rounding
    for found in (observed, control):
        found["relative_residual"] = relative_residual(
            found["residual"], found["drift"]
        )
    own = groups.loc[rows["image"].tolist()].to_numpy()[moved]
    # Every line has a replicate for every group: their joint distribution is wanted.
    weights = without_each(own, 0, int(groups.max()) + 1)
    if len(np.unique(own)) < FEWEST_FOR_INTERVAL:
        weights = np.full_like(weights, np.nan)
    return _Level(
        {name: values[moved] for name, values in observed.items()},
        {name: values[:, moved] for name, values in control.items()},
        np.concatenate([np.ones((1, len(own))), weights]),
    )


def _means(
    lines: Sequence[dict[str, Any]], levels: Sequence[_Level], level: float
) -> Iterator[dict[str, Any]]:
    """Compare the means over the images of each quantity."""
    for quantity in QUANTITIES:
        is_ratio = quantity in RATIOS
        told, changes = [], []
        for each in levels:
            weights = each.weights
            observed = _mean(each.observed[quantity], weights)
            control = np.stack(
                [_mean(own, weights) for own in each.control[quantity]], axis=1
            )
            of_all = control.mean(axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                changes.append(
                    np.log(observed) - np.log(of_all) if is_ratio else observed - of_all
                )
            told.append(
                {
                    "quantity": quantity,
                    "observed": observed[0],
                    "control_mean": of_all[0],
                    "lowest": control[0].min(),
                    "highest": control[0].max(),
                    "replicates": len(each.control[quantity]),
                    "images": weights.shape[1],
                }
            )
        scale = np.exp if is_ratio else np.asarray
        for line, own, ends in zip(
            lines, told, _intervals(changes, level), strict=True
        ):
            change, low, high = (float(scale(end)) for end in ends)
            differs = bool(ends[1] > 0 or ends[2] < 0)
            found = {"change": change, "low": low, "high": high, "differs": differs}
            yield line | own | found


def _ranks(
    lines: Sequence[dict[str, Any]], levels: Sequence[_Level], level: float
) -> Iterator[dict[str, Any]]:
    """Correlate the ranks of the images by their drifts."""
    found = [_correlations(each) for each in levels]
    excess = [pairs[PAIRS[0]].mean(1) - pairs[PAIRS[1]].mean(1) for pairs in found]
    beyond = list(_intervals(excess, level))
    for name in PAIRS:
        # On the Fisher scale, where the distribution is nearly symmetric.
        means = [pairs[name].mean(axis=1) for pairs in found]
        scaled = [np.arctanh(np.where(is_one(v), np.nan, v)) for v in means]
        for number, ends in enumerate(_intervals(scaled, level)):
            each = found[number][name][0]
            line = lines[number] | {
                "pair": name,
                "spearman": float(means[number][0]),
                "lowest": each.min(),
                "highest": each.max(),
                "low": float(np.tanh(ends[1])),
                "high": float(np.tanh(ends[2])),
                "images": levels[number].weights.shape[1],
            }
            own = beyond[number] if name == PAIRS[0] else (np.nan,) * 3
            yield line | {
                "excess": own[0],
                "excess_low": own[1],
                "excess_high": own[2],
                "differs": bool(own[1] > 0 or own[2] < 0),
            }


def _correlations(each: _Level) -> dict[str, Float[np.ndarray, "draws pairs"]]:
    """Correlate with all images, and without each group; a column for each pair."""
    weights = each.weights
    pruning, controls = each.observed["drift"], each.control["drift"]
    count = len(controls)

    def correlate(
        pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]],
    ) -> NDArray[np.float64]:
        if len(pruning) < 3 or not pairs:
            return np.full((len(weights), 1), np.nan)
        return np.stack([spearman(x, y, weights) for x, y in pairs], axis=1)

    return {
        PAIRS[0]: correlate([(pruning, own) for own in controls]),
        PAIRS[1]: correlate(
            [(controls[i], controls[j]) for i in range(count) for j in range(i)]
        ),
        PAIRS[2]: correlate([(pruning, controls.mean(axis=0))]),
    }


def _mean(
    values: Float[np.ndarray, " images"], weights: Float[np.ndarray, "draws images"]
) -> Float[np.ndarray, " draws"]:
    """Average over the images that have a value."""
    known = np.isfinite(values)
    return ratio(weights[:, known] @ values[known], weights[:, known].sum(axis=1))


def _intervals(
    changes: Sequence[NDArray[np.float64]], level: float
) -> list[tuple[float, float, float]]:
    """Give each change with the ends of its interval; they hold together."""
    values = np.stack(changes, axis=1)
    if len(values) - 1 < FEWEST_FOR_INTERVAL:
        low = high = np.full(values.shape[1], np.nan)
    else:
        low, high = simultaneous_intervals(values, "jackknife", level=level)
    ends = zip(values[0], low, high, strict=True)
    return [(float(value), float(a), float(b)) for value, a, b in ends]
