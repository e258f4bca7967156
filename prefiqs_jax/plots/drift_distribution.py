"""Distribution of drift over the images, one violin per sparsity."""

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from prefiqs_jax.plots.labels import (
    QUANTITIES,
    SPARSITY,
    achieved,
    level_tick,
    plain,
    shorten,
)
from prefiqs_jax.plots.shared import floats, nothing_moved
from prefiqs_jax.plots.theme import SKY

if TYPE_CHECKING:
    import pandas as pd


def drift_distribution(
    ax: Axes, rows: "pd.DataFrame", *, change: str | None = None
) -> Axes:
    """Draw the distribution of drift per sparsity, on a log axis.

    Parameters
    ----------
    ax
        Axes to draw on.
    rows
        Columns sparsity, drift, below_rounding and perhaps achieved_sparsity, of one
        network and mask. Drifts of zero and changes below rounding have no place on a
        log axis and are left out.
    change
        Name of a change of the weights that is no mask, in place of the sparsity.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes. Violins are kernel densities of log drift, each scaled to one
        width; the lines inside are the quartiles, dashed the median.
    """
    kept = rows.loc[(rows["drift"] > 0) & ~rows["below_rounding"]]
    where = SPARSITY if change is None else "change of the weights"
    words = {"xlabel": where, "ylabel": f"{QUANTITIES['drift']} (no unit)"}
    if len(kept) == 0:
        ax.set(**words)
        return nothing_moved(ax)
    levels = np.unique(kept["sparsity"].to_numpy(np.float64))
    samples = [
        floats(kept.loc[kept["sparsity"] == level], "drift")[0] for level in levels
    ]
    # A kernel density of one value does not exist; its image is drawn as a mark.
    spread = [bool(len(sample) > 1 and np.ptp(sample) > 0) for sample in samples]
    ax.set_yscale("log")
    if any(spread):
        drawn = np.repeat(np.arange(len(levels)), [len(s) for s in samples])
        wide = np.isin(drawn, np.flatnonzero(spread))
        sns.violinplot(
            x=drawn[wide],
            y=np.concatenate(samples)[wide],
            order=range(len(levels)),
            ax=ax,
            color=SKY,
            inner="quart",
            density_norm="width",
            width=min(0.8, 0.12 * len(levels)),
            cut=0,
            linewidth=0.7,
            log_scale=(False, True),
        )
    for place, (sample, is_wide) in enumerate(zip(samples, spread, strict=True)):
        if not is_wide:
            ax.plot(place, sample[0], marker="_", ms=12, color="black")
    ax.set(xlim=(-0.6, len(levels) - 0.4), **words)
    reached = dict(zip(kept["sparsity"], achieved(kept), strict=True))
    ticks = [level_tick(one, reached[one]) for one in levels]
    if change is not None:
        ticks = [plain(shorten(change))] * len(levels)
    ax.set_xticks(range(len(levels)), ticks)
    if len(levels) > 12:
        ax.tick_params(axis="x", labelrotation=90)
    return ax
