"""Figures of an evaluation: curves by kinds of qualities, areas, and DET."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.compare import Comparison
from prefiqs_jax.fiqa import DET

SHOWN_SPARSITY = 0.4
"""Of several sparsities, the one nearest to it stands for the method among others."""
MOST_CURVES = 8
_OVERVIEW = "One of each method"
_SERIES = ("prefiqs", "first-order", "grafiqs")
_TITLES = {
    "prefiqs": "PreFIQs, by sparsity",
    "first-order": "First order, by sparsity",
    "grafiqs": "GraFIQs, by where gradients are taken",
}
_SHOWN_OUTPUT = {"grafiqs": "grafiqs/image"}


class Drawn(NamedTuple):
    """A figure and the words that go with it."""

    name: str
    figure: Figure
    caption: str


def group_qualities(names: Sequence[str]) -> dict[str, list[str]]:
    """Say which curves share a panel: one of each method, and each method's own.

    Parameters
    ----------
    names
        Of qualities, such as ``prefiqs/0.4``.

    Returns
    -------
    dict
        Title of the panel to the names on it, at most ``MOST_CURVES``.

    Examples
    --------
    >>> group_qualities(["prefiqs/0.1", "prefiqs/0.4", "norm"])
    {'One of each method': ['prefiqs/0.4', 'norm'], 'PreFIQs, by sparsity': \
['prefiqs/0.1', 'prefiqs/0.4']}
    """
    series: dict[str, list[str]] = {}
    for name in names:
        method, sign, _ = name.partition("/")
        key = method if sign and method in _SERIES else name
        series.setdefault(key, []).append(name)
    single = [_representative(key, members) for key, members in series.items()]
    several = {
        _TITLES[key]: members for key, members in series.items() if len(members) > 1
    }
    panels: dict[str, list[str]] = {}
    for start in range(0, len(single), MOST_CURVES):
        part = f"More methods ({start // MOST_CURVES + 1})" if start else _OVERVIEW
        panels[part] = single[start : start + MOST_CURVES]
    for title, members in several.items():
        # Too many sparsities: the first, the last, and evenly between them.
        step = max(1, math.ceil(len(members) / MOST_CURVES))
        panels[title] = members[::step]
    return panels


def _representative(method: str, members: Sequence[str]) -> str:
    if len(members) == 1:
        return members[0]
    if _SHOWN_OUTPUT.get(method) in members:
        return _SHOWN_OUTPUT[method]
    return min(
        members, key=lambda name: abs(float(name.partition("/")[2]) - SHOWN_SPARSITY)
    )


def draw_comparison(found: Comparison, max_discard: float) -> list[Drawn]:
    """Draw the curves at each false match rate, and the areas.

    Call inside ``plots.theme()``.
    """
    drawings = []
    who = f"{found.benchmark}, {found.verifier} verifies, {found.scorer} scores"
    stem = as_folder(f"{found.benchmark}_{found.verifier}_{found.scorer}")
    for fmr, curves in found.curves.items():
        bands = found.bands.get(fmr, {})
        panels = group_qualities(list(curves))
        columns = min(2, len(panels))
        lines = math.ceil(len(panels) / columns)
        # Legends stand above the axes, two names a line.
        tallest = max(math.ceil(len(names) / 2) for names in panels.values())
        figure = Figure(
            figsize=(plots.PAGE_IN * columns / 2, lines * (2.2 + 0.16 * tallest))
        )
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for ax, (title, names) in zip(axes, panels.items(), strict=False):
            # One band: several that overlap cannot be told apart.
            shown = {name: curves[name] for name in names}
            shown |= {name: bands[name] for name in names[:1] if name in bands}
            plots.edc_panel(ax, shown, max_discard=max_discard)
            if fmr in found.silent:
                plots.note(ax, "cannot tell:\ntoo few errors")
            legend = ax.get_legend()
            assert legend is not None
            legend.set_title(title)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        drawings.append(
            Drawn(
                f"edc_{stem}_fmr{fmr:g}",
                figure,
                f"Error versus discard at FMR {fmr:g}: {who}. {_about(found, fmr)}",
            )
        )
    figure = plots.pauc_intervals(Figure(figsize=(plots.PAGE_IN, 3)), found.areas)
    drawings.append(
        Drawn(
            f"pauc_{stem}",
            figure,
            f"Areas under the curves up to {max_discard:g}: {who}. {found.about_bands} "
            "The diamond is the reference; a filled marker says that a quality differs "
            "from it: the interval of the difference excludes 0, adjusted for all of "
            "this figure together (max-t)."
            + "".join(f" FMR {r:g} cannot tell: {f}." for r, f in found.silent.items()),
        )
    )
    return drawings


def _about(found: Comparison, fmr: float) -> str:
    if fmr in found.silent:
        return f"Cannot tell: {found.silent[fmr]}."
    return (
        f"{found.about_bands} Each panel shows that of its first curve, for each "
        "fraction by itself; the table curves.csv has all."
    )


def draw_det(benchmark: str, curves: Mapping[str, DET]) -> Drawn:
    """Draw what each network's errors are before anything is discarded."""
    figure = Figure(figsize=(plots.COLUMN_IN, 2.9))
    plots.det_panel(figure.add_subplot(), curves)
    return Drawn(
        as_folder(f"det_{benchmark}"),
        figure,
        f"Detection error trade-off on {benchmark}, nothing discarded.",
    )
