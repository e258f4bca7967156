"""Drift against known severity: the same faces at every severity level."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.images.degrade import DEGRADATIONS, degrade
from prefiqs_jax.statistics import FEWEST_FOR_INTERVAL, jackknife_interval

if TYPE_CHECKING:
    import pandas as pd


def measure_levels(
    faces: np.ndarray,
    severities: tuple[float, ...],
    drift: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int,
) -> "pd.DataFrame":
    """Measure the drift of every face at every severity of every degradation.

    Faces are clean images, (faces, height, width, 3), uint8, RGB; severities ascend
    from above 0; `drift` maps images to drifts, (images,). A face has the same draws at
    every severity. Columns degradation, severity (0: the clean image), face (index) and
    drift.
    """
    import pandas as pd

    seeds = [seed + place for place in range(len(faces))]
    degraded = [
        degrade(faces, name, severity, seed=seeds)
        for name in DEGRADATIONS
        for severity in severities
    ]
    found = drift(np.concatenate([faces, *degraded]))
    clean, rest = np.split(found, [len(faces)])
    measured = rest.reshape(len(DEGRADATIONS), len(severities), len(faces))
    whole = np.insert(measured, 0, clean, axis=1)
    levels = [list(DEGRADATIONS), (0.0, *severities), range(len(faces))]
    index = pd.MultiIndex.from_product(
        levels, names=["degradation", "severity", "face"]
    )
    return pd.DataFrame({"drift": whole.ravel()}, index).reset_index()


def summarise_levels(measured: "pd.DataFrame") -> "pd.DataFrame":
    """Average the table of :func:`measure_levels` over the faces at each severity.

    Columns degradation, severity, faces, drift (mean), low, high (95 % t interval; NaN
    for fewer than 3 faces) and rises (whether the mean is above that of the severity
    below; True at 0).
    """
    import pandas as pd

    lines = []
    for name, chosen in measured.groupby("degradation", sort=False):
        wide = chosen.pivot_table(index="severity", columns="face", values="drift")
        values = wide.sort_index().to_numpy(np.float64)
        count = values.shape[1]
        means = values.mean(axis=1)
        # Without each face in turn; the jackknife of a mean is Student's interval.
        low = high = np.full(len(means), np.nan)
        if count >= FEWEST_FOR_INTERVAL:
            without = (count * means - values.T) / (count - 1)
            low, high = map(np.asarray, jackknife_interval(means, without))
        rises = np.concatenate([[True], np.diff(means) > 0])
        for place, severity in enumerate(wide.sort_index().index):
            found = (means[place], low[place], high[place], bool(rises[place]))
            lines.append((name, float(severity), count, *found))
    columns = ["degradation", "severity", "faces", "drift", "low", "high", "rises"]
    return pd.DataFrame(lines, columns=columns)


def rising(table: "pd.DataFrame") -> tuple[list[str], list[str]]:
    """Name the degradations whose mean drift rises with every severity, and others."""
    names: tuple[list[str], list[str]] = ([], [])
    for name, levels in table.groupby("degradation", sort=False):
        always = bool(levels["rises"].to_numpy(np.bool_).all())
        names[0 if always else 1].append(str(name))
    return names
