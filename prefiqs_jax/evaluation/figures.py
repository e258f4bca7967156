"""Figures of an evaluation: curves by kinds of qualities, areas, and DET."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.compare import Comparison
from prefiqs_jax.fiqa import DET, EDC
from prefiqs_jax.plots import Drawing
from prefiqs_jax.plots.alt import extremes
from prefiqs_jax.plots.shared import panels

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


def title(found: Comparison) -> str:
    """Return a title: benchmark, network that verifies, network that scores."""
    return f"{found.benchmark}, {found.verifier} verifies, {found.scorer} scores"


def draw_figures(found: Sequence[Comparison], max_discard: float) -> list[Drawing]:
    """Draw all figures of an evaluation. Call inside ``plots.theme()``."""
    drawings = [
        drawing for each in found for drawing in _draw_comparison(each, max_discard)
    ]
    for benchmark in dict.fromkeys(each.benchmark for each in found):
        its = {each.verifier: each.det for each in found if each.benchmark == benchmark}
        drawings.append(_draw_det(benchmark, its))
    return drawings


def group_qualities(names: Sequence[str]) -> dict[str, list[str]]:
    """Name the panels and their curves: one of each method, and each method's own.

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


def _draw_comparison(found: Comparison, max_discard: float) -> list[Drawing]:
    """Draw the curves at each false match rate, and the areas."""
    who = title(found)
    stem = as_folder(f"{found.benchmark}_{found.verifier}_{found.scorer}")
    drawings = [
        Drawing(
            f"edc_{stem}_fmr{fmr:g}",
            _draw_curves(found, fmr, max_discard),
            f"Error versus discard at FMR {fmr:g}",
            f"{who}. {_about(found, fmr)}",
            _ends(found.curves[fmr], max_discard),
            ("curves",),
        )
        for fmr in found.curves
    ]
    figure = plots.pauc_intervals(Figure(figsize=(plots.PAGE_IN, 3)), found.areas)
    silent = "".join(f" FMR {r:g} cannot tell: {f}." for r, f in found.silent.items())
    areas = Drawing(
        f"pauc_{stem}",
        figure,
        f"Areas under the curves up to {max_discard:g}",
        f"{who}. {found.about_bands} "
        "The diamond is the reference; a filled marker says that a quality differs "
        "from it: the interval of the difference excludes 0, adjusted for all of "
        f"this figure together (max-t).{silent}",
        f"Areas {extremes(found.areas, 'pauc', 'quality')}.",
        ("areas",),
    )
    return [*drawings, areas]


def _draw_curves(found: Comparison, fmr: float, max_discard: float) -> Figure:
    curves, bands = found.curves[fmr], found.bands.get(fmr, {})
    groups = group_qualities(list(curves))
    columns = min(2, len(groups))
    lines = math.ceil(len(groups) / columns)
    # Legends stand above the axes, two names a line.
    tallest = max(math.ceil(len(names) / 2) for names in groups.values())
    size = (plots.PAGE_IN * columns / 2, lines * (2.2 + 0.16 * tallest))
    figure = Figure(figsize=size)
    axes = panels(figure, len(groups), columns)
    for ax, (heading, names) in zip(axes, groups.items(), strict=True):
        # One band: several that overlap cannot be told apart.
        shown = {name: curves[name] for name in names}
        shown |= {name: bands[name] for name in names[:1] if name in bands}
        plots.edc_panel(ax, shown, max_discard=max_discard)
        if fmr in found.silent:
            plots.note(ax, "cannot tell:\ntoo few errors")
        ax.get_legend().set_title(heading)
    return figure


def _ends(curves: Mapping[str, EDC], max_discard: float) -> str:
    """Write where the curves begin and end, for those who cannot see them."""
    start = next(iter(curves.values())).fnmr[0]
    last = {
        name: float(curve.fnmr[np.searchsorted(curve.discard_fraction, max_discard)])
        for name, curve in curves.items()
        if curve.discard_fraction[-1] >= max_discard
    }
    ends = "; ".join(f"{name}: {rate:.3g}" for name, rate in last.items())
    return f"FNMR {start:.3g} before any discard; at {max_discard:g} discarded, {ends}."


def _about(found: Comparison, fmr: float) -> str:
    if fmr in found.silent:
        return f"Cannot tell: {found.silent[fmr]}."
    return (
        f"{found.about_bands} Each panel shows that of its first curve, for each "
        "fraction by itself; the table curves.csv has all."
    )


def _draw_det(benchmark: str, curves: Mapping[str, DET]) -> Drawing:
    """Draw what each network's errors are before anything is discarded."""
    nearest = {
        name: int(np.argmin(np.abs(curve.fmr - curve.fnmr)))
        for name, curve in curves.items()
    }
    equal = [f"{name}: {curves[name].fnmr[at]:.3g}" for name, at in nearest.items()]
    figure = Figure(figsize=(plots.COLUMN_IN, 2.9))
    plots.det_panel(figure.add_subplot(), curves)
    return Drawing(
        as_folder(f"det_{benchmark}"),
        figure,
        f"Detection error trade-off on {benchmark}",
        "Nothing discarded.",
        f"Equal error rate. {'; '.join(equal)}.",
        ("det", "verification"),
    )
