"""Lines of a table: statistics of each network and mask of a run, with intervals."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics import (
    FEWEST_FOR_INTERVAL,
    deletion_groups,
    without_each,
)
from prefiqs_jax.statistics.jackknife import is_one
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals
from prefiqs_jax.statistics.weighted import ratio

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float64]

FEWEST_IMAGES = 5
"""Images below which a stratum gets no line."""

_SCALES: dict[str, tuple[Callable[[Values], Values], Callable[[Values], Values]]] = {
    "linear": (np.asarray, np.asarray),
    "log": (np.log, np.exp),
    "fisher": (lambda r: np.arctanh(np.where(is_one(r), np.nan, r)), np.tanh),
    # Of shares and areas under ROC curves: artanh(2 p - 1) is half the logit of p.
    "logit": (
        lambda p: np.arctanh(np.where(is_one(2 * p - 1), np.nan, 2 * p - 1)),
        lambda x: (1 + np.tanh(x)) / 2,
    ),
}
"""On which intervals are symmetric, and back; a number at the end of one has none."""


class Measured(NamedTuple):
    """One network and mask of a run."""

    run: str
    """Name of the run's folder."""
    mask: str
    rows: "pd.DataFrame"
    """With what is derived, copy_of, and severity where there are degraded copies."""
    tables: dict[str, "pd.DataFrame"]
    """Lines of the same mask."""
    manifest: dict[str, Any]
    rounding: float
    """Largest change of an embedding that is rounding."""

    def groups(self) -> "pd.Series":
        """Give each image the number of what is left out with it: all of a person."""
        import pandas as pd

        images = self.rows.drop_duplicates("image").sort_values("image")
        by = "identity" if bool(images["identity"].notna().all()) else "copy_of"
        codes, _ = pd.factorize(images[by], sort=True)
        return pd.Series(deletion_groups(codes), index=images["image"].to_numpy())

    def indices(self) -> list[int]:
        """Give the places of the mask's sparsities in the lists of run.json."""
        masks = self.manifest.get("masks")
        if not masks:
            return list(range(len(self.manifest["settings"]["sparsities"])))
        return [place for place, mask in enumerate(masks) if mask == self.mask]


class Level(NamedTuple):
    """The images of one sparsity and stratum that moved by more than rounding."""

    sparsity: float
    stratum: str
    rows: "pd.DataFrame"
    weights: Values
    """Shape (replicates, images): all people, then without each."""

    def mean(self, values: Values) -> Values:
        """Average over the images of each replicate."""
        return ratio(self.weights @ values, self.weights.sum(axis=1))

    def at(self, places: NDArray[Any]) -> "Level":
        """Choose images, by their places or by a mask."""
        return self._replace(
            rows=self.rows.iloc[places], weights=self.weights[:, places]
        )

    def column(self, name: str) -> Values:
        """Give a column of the rows."""
        return self.rows[name].to_numpy(np.float64)


def strata(rows: "pd.DataFrame") -> dict[str, NDArray[np.bool_]]:
    """Tell all images, and where there are degraded copies, clean from degraded ones.

    >>> import pandas as pd
    >>> strata(pd.DataFrame({"severity": [0, 0.5]}))["degraded"]
    array([False,  True])
    """
    found = {"all": np.ones(len(rows), bool)}
    if "severity" in rows:
        degraded = rows["severity"].to_numpy(np.float64) > 0
        found |= {"clean": ~degraded, "degraded": degraded}
    return found


def levels(measured: Measured) -> Iterator[Level]:
    """Go through sparsities and strata; one with few images that moved is left out."""
    groups = measured.groups()
    count = int(groups.max()) + 1
    rows = measured.rows.loc[~measured.rows["below_rounding"]]
    for sparsity, part in rows.groupby("sparsity"):
        part = part.sort_values("image")
        for name, chosen in strata(part).items():
            if chosen.sum() >= FEWEST_IMAGES:
                own = part.loc[chosen]
                codes = groups.loc[own["image"].tolist()].to_numpy()
                whole = np.ones((1, len(own)))
                weights = np.concatenate([whole, without_each(codes, 0, count)])
                yield Level(float(str(sparsity)), name, own, weights)


def pairs(level: Level) -> NDArray[np.int_]:
    """Give the places of degraded copies, and those of their originals: two rows."""
    place = {name: i for i, name in enumerate(level.rows["image"])}
    both = zip(level.rows["image"], level.rows["copy_of"], strict=True)
    found = [(place[a], place[b]) for a, b in both if a != b and b in place]
    return np.array(found, int).reshape(-1, 2).T


class Lines:
    """Lines of a table; intervals of one statistic hold together (max-t)."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        self._lines: list[dict[str, Any]] = []
        self._values: list[Values] = []
        self._scales: list[str] = []

    def add(
        self, level: Level, statistic: str, of: str, values: Values, scale: str
    ) -> None:
        """Add a line: its value, then the same without each person."""
        rows = level.rows
        self._values.append(values)
        self._scales.append(scale)
        self._lines.append(
            {
                "stratum": level.stratum,
                "sparsity": level.sparsity,
                "statistic": statistic,
                "of": of,
                "value": values[0],
                "images": len(rows),
                "people": int((level.weights[1:] == 0).any(axis=1).sum()),
            }
        )

    def table(self) -> "pd.DataFrame":
        """Give columns run, backbone, mask, those of a line, low and high."""
        import pandas as pd

        if not self._lines:
            message = (
                f"{self._measured.run}: no sparsity has {FEWEST_IMAGES} images that "
                "moved; sweep more images"
            )
            raise InputError(message)
        table = pd.DataFrame(self._lines).assign(low=np.nan, high=np.nan)
        for _, places in table.groupby("statistic").indices.items():
            forward, back = _SCALES[self._scales[places[0]]]
            values = np.stack([self._values[place] for place in places], axis=1)
            if len(values) - 1 < FEWEST_FOR_INTERVAL:
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                scaled = forward(values)
            scaled = np.where(np.isfinite(scaled), scaled, np.nan)
            low, high = simultaneous_intervals(scaled, "jackknife")
            table.loc[places, "low"] = back(low)
            table.loc[places, "high"] = back(high)
        return labelled(table, self._measured)


def labelled(table: "pd.DataFrame", measured: Measured) -> "pd.DataFrame":
    """Put run, backbone and mask of a record in front."""
    backbone = str(measured.rows["backbone"].iloc[0])
    return in_front(table, measured.run, backbone, measured.mask)


def in_front(
    table: "pd.DataFrame", run: str, backbone: str, mask: str
) -> "pd.DataFrame":
    """Put run, backbone and mask in front."""
    front = {"run": run, "backbone": backbone, "mask": mask}
    for place, (name, value) in enumerate(front.items()):
        table.insert(place, name, value)
    return table
