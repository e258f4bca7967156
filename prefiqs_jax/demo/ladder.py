"""Drift against known severity: the same faces on every rung of every ladder."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from prefiqs_jax.images.degrade import DEGRADATIONS, degrade
from prefiqs_jax.statistics import FEWEST_FOR_INTERVAL, jackknife_interval

if TYPE_CHECKING:
    import pandas as pd


def climb(
    pictures: np.ndarray,
    severities: tuple[float, ...],
    drift: Callable[[np.ndarray], np.ndarray],
    *,
    seed: int,
) -> "pd.DataFrame":
    """Measure the drift of every picture on every rung of every degradation.

    Parameters
    ----------
    pictures
        Clean faces, shape (faces, height, width, 3), uint8, RGB.
    severities
        Rungs above 0, ascending.
    drift
        Maps pictures to drifts, shape (pictures,).
    seed
        Of the degradations; a face has the same draws on every rung.

    Returns
    -------
    pandas.DataFrame
        Columns degradation, severity, face (index) and drift; the clean pictures are
        rung 0 of every ladder.
    """
    import pandas as pd

    seeds = [seed + place for place in range(len(pictures))]
    rungs = [
        degrade(pictures, name, severity, seed=seeds)
        for name in DEGRADATIONS
        for severity in severities
    ]
    shape = (len(DEGRADATIONS), len(severities), len(pictures))
    found = drift(np.concatenate([pictures, *rungs]))
    clean, degraded = found[: len(pictures)], found[len(pictures) :].reshape(shape)
    frames = []
    for name, measured in zip(DEGRADATIONS, degraded, strict=True):
        steps = zip((0.0, *severities), (clean, *measured), strict=True)
        frames += [
            pd.DataFrame(
                {
                    "degradation": name,
                    "severity": severity,
                    "face": np.arange(len(pictures)),
                    "drift": values,
                }
            )
            for severity, values in steps
        ]
    return pd.concat(frames, ignore_index=True)


def summarise_ladder(rungs: "pd.DataFrame") -> "pd.DataFrame":
    """Average the drift over the faces of each rung.

    Parameters
    ----------
    rungs
        As :func:`climb` returns it.

    Returns
    -------
    pandas.DataFrame
        Columns degradation, severity, faces, drift (mean), low, high (95 % t interval;
        NaN for fewer than 3 faces) and rises (whether the mean is above that of the
        rung below; True at rung 0).
    """
    import pandas as pd

    lines = []
    for name, chosen in rungs.groupby("degradation", sort=False):
        wide = chosen.pivot_table(index="severity", columns="face", values="drift")
        values = wide.sort_index().to_numpy(np.float64)
        count = values.shape[1]
        means = values.mean(axis=1)
        # Without each face in turn; the jackknife of a mean is Student's interval.
        low = high = np.full(len(means), np.nan)
        if count >= FEWEST_FOR_INTERVAL:
            without = (count * means - values.T) / (count - 1)
            low, high = jackknife_interval(means, without)
        rises = np.concatenate([[True], np.diff(means) > 0])
        for place, severity in enumerate(wide.sort_index().index):
            measured = (means[place], low[place], high[place], bool(rises[place]))
            lines.append((name, float(severity), count, *measured))
    columns = ["degradation", "severity", "faces", "drift", "low", "high", "rises"]
    return pd.DataFrame(lines, columns=columns)


def rising(table: "pd.DataFrame") -> tuple[list[str], list[str]]:
    """Name the degradations whose mean drift rises at every rung, and the others."""
    names: tuple[list[str], list[str]] = ([], [])
    for name, rungs in table.groupby("degradation", sort=False):
        always = bool(rungs["rises"].to_numpy(np.bool_).all())
        names[0 if always else 1].append(str(name))
    return names
