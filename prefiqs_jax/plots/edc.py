"""Error-versus-discard curves of several qualities, with their intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import EDC, EDCBand, Protocol
from prefiqs_jax.plots.labels import plain
from prefiqs_jax.plots.shared import few_ticks, legend_above
from prefiqs_jax.plots.theme import LINES, look

_DISCARDED = {
    "pooled": "comparisons",
    "mated": "mated comparisons",
    "proportional": "either kind of comparison",
}
_MOST_MARKERS = 40
# Of a curve that is read more often than it steps, as bands are.
_MARKERS_SHOWN = 8
# More steps than a page has dots would only make a large file.
_MOST_STEPS = 2000


def edc_panel(
    ax: Axes, curves: Mapping[str, EDC | EDCBand], *, max_discard: float | None = None
) -> Axes:
    """Draw FNMR over the fraction of comparisons discarded, one line per quality.

    Lines or steps as the protocol has it, and bands where there are intervals. The FNMR
    starts at 0 on a linear axis: curves reach 0, which a log axis cannot show, and
    areas under them are what tables report.

    Parameters
    ----------
    ax
        Axes to draw on.
    curves
        Curves by name, all of one protocol and FMR.
    max_discard
        Right end of the axis; by default, all is shown.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes, with a legend above it.

    Raises
    ------
    InputError
        If there are no curves, or they differ in protocol or FMR.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from prefiqs_jax.fiqa import edc
    >>> curve = edc([0.9, 0.2, 0.1], [1, 1, 0], [2, 1, 1], protocol="fiqat")
    >>> print(edc_panel(Figure().add_subplot(), {"mine": curve}).get_xlabel())
    fraction of mated comparisons
    discarded (fiqat)
    """
    switches, source, protocol = _shared(curves)
    is_step = switches.interpolation == "step"
    last = max(float(curve.discard_fraction[-1]) for curve in curves.values())
    end = last if max_discard is None else max_discard
    highest = 0.0
    for place, (name, curve) in enumerate(curves.items()):
        x, y, low, high = _columns(curve, end)
        color, marker = look(place).values()
        style = {"ls": LINES[place % len(LINES)], "color": color}
        style["ds"] = "steps-post" if is_step else "default"
        if isinstance(curve, EDCBand):
            faint: Any = {"step": "post" if is_step else None, "alpha": 0.16, "lw": 0}
            ax.fill_between(x, low, high, color=color, zorder=1, **faint)
            # Edges, or bands that overlap become one.
            for edge in (low, high):
                ax.plot(x, edge, lw=0.5, alpha=0.7, zorder=2, **style)
        if not is_step and len(x) <= _MOST_MARKERS:
            style |= {"marker": marker, "markevery": max(1, len(x) // _MARKERS_SHOWN)}
        ax.plot(x, y, label=plain(name), zorder=3, **style)
        highest = max(highest, float(np.nanmax(high, initial=0)))
    # Room for a line along 0 and for markers at the ends.
    top = highest if highest > 0 else 1.0
    ax.set(xlim=(-0.015 * end, 1.015 * end), ylim=(-0.02 * top, 1.05 * top))
    kind = _DISCARDED[switches.discard]
    # On two lines, so that three panels have room side by side.
    ax.set(xlabel=f"fraction of {kind}\ndiscarded ({protocol})", ylabel=_rate(source))
    few_ticks(ax.xaxis, 6)
    few_ticks(ax.yaxis)
    legend_above(ax)
    return ax


def _shared(curves: Mapping[str, EDC | EDCBand]) -> tuple[Protocol, str, str]:
    """Give what all curves share: switches, source of the threshold, and its name."""
    if not curves:
        message = "no curves to draw; give at least one"
        raise InputError(message)
    found = []
    for curve in curves.values():
        is_band = isinstance(curve, EDCBand)
        source = f"FMR {curve.fmr:g}" if is_band else curve.threshold_from
        found.append((curve.switches, source, curve.protocol))
    for name, one in zip(curves, found, strict=True):
        if one != found[0]:
            message = (
                f"curve {name!r} has another protocol or FMR than the first; draw it "
                "on axes of its own"
            )
            raise InputError(message)
    return found[0]


def _rate(source: str) -> str:
    """Label the axis of the FNMR with what set its threshold.

    >>> _rate("FMR 0.001"), _rate("FNMR 0.05 before any discard")
    ('FNMR at FMR 0.001', 'FNMR (0.05 before any discard)')
    """
    if source.startswith("FNMR "):
        return f"FNMR ({source.removeprefix('FNMR ')})"
    return f"FNMR at {source}"


def _columns(curve: EDC | EDCBand, end: float) -> list[Float[np.ndarray, " points"]]:
    """Give fractions, FNMR, and its lower and upper end, as they are drawn."""
    x = curve.discard_fraction
    if isinstance(curve, EDCBand):
        columns = [x, *curve.fnmr]
    else:
        fnmr = curve.fnmr.copy()
        if curve.switches.steps == "all":
            # Nothing is left at (1, 0): a convention, not a rate that fell.
            fnmr[-1] = fnmr[-2]
        columns = [x, fnmr, fnmr, fnmr]
    # One point past the end, so that lines and steps reach it.
    shown = int(np.searchsorted(x, end)) + 1
    columns = [column[:shown] for column in columns]
    if len(columns[0]) <= _MOST_STEPS:
        return columns
    x = columns[0]
    grid = np.linspace(0, x[-1], _MOST_STEPS)
    places = np.searchsorted(x, grid, side="right") - 1
    return [grid, *(column[places] for column in columns[1:])]
