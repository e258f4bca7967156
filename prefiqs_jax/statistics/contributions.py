"""Share of each layer in the drift: medians over the images, with intervals."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.statistics.cautions import FEWEST_FOR_INTERVAL
from prefiqs_jax.statistics.woodruff import median_interval

if TYPE_CHECKING:
    import pandas as pd


def contribution_shares(
    contributions: "pd.DataFrame", sparsity: float
) -> "pd.DataFrame":
    """Give shares of the drift, layers down in order of appearance, images across.

    NaN for an image without drift. ``contributions`` has the columns image, sparsity,
    layer and contribution; those of an image sum to its drift.
    """
    chosen = contributions.loc[contributions["sparsity"] == sparsity]
    wide = chosen.pivot(index="layer", columns="image", values="contribution")
    wide = wide.loc[chosen["layer"].unique()]
    return wide / wide.sum().where(lambda drift: drift > 0)


def share_table(
    contributions: "pd.DataFrame",
    *,
    sparsities: Iterable[float] | None = None,
    groups: Mapping[str, str] | None = None,
    identities: Mapping[str, str] | None = None,
) -> "pd.DataFrame":
    """Tabulate the median share of each layer.

    Parameters
    ----------
    contributions
        As for :func:`contribution_shares`.
    sparsities
        Which; None = all.
    groups
        Image to group, such as clean and degraded: medians are of each.
    identities
        Image to person, for the intervals; None = every image by itself.

    Returns
    -------
    pandas.DataFrame
        Columns sparsity, group (in order of appearance), layer, share, low, high
        (:func:`~prefiqs_jax.statistics.median_interval`, each by itself; NaN for
        fewer than 3 people), images.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"image": list("aabb"), "sparsity": 0.5,
    ...     "layer": ["conv", "fc"] * 2, "contribution": [0.1, 0.3, 0.2, 0.2]})
    >>> share_table(table)["share"].round(3).tolist()
    [0.375, 0.625]
    """
    import pandas as pd

    if sparsities is None:
        sparsities = np.unique(contributions["sparsity"].to_numpy(np.float64))
    lines = []
    for sparsity in sparsities:
        shares = contribution_shares(contributions, sparsity)
        images = [str(image) for image in shares.columns]
        of = np.array([(groups or {}).get(image, "") for image in images])
        people = np.unique(
            [(identities or {}).get(image, image) for image in images],
            return_inverse=True,
        )[1]
        for group in dict.fromkeys((groups or {"": ""}).values()):
            values = shares.to_numpy(np.float64)[:, of == group]
            for layer, own in zip(shares.index, values, strict=True):
                low, high = median_interval(own, people[of == group])
                if len(np.unique(people[of == group])) < FEWEST_FOR_INTERVAL:
                    low = high = np.nan
                middle = float(np.nanmedian(own)) if np.isfinite(own).any() else np.nan
                lines.append((sparsity, group, layer, middle, low, high, len(own)))
    columns = ["sparsity", "group", "layer", "share", "low", "high", "images"]
    return pd.DataFrame(lines, columns=columns)
