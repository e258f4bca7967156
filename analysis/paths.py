"""Follow the embedding while the weights go from the dense to the pruned network.

Along t ↦ θ + tδ, image by image: the length of the embedding's path over its chord;
what the Taylor sums of order 1, 2 and 3 leave at each t, and by which power of t that
falls, with the network's kinks and with them frozen; the largest t up to which each
order is within 10 % of the change; and what ranks the images by it (Spearman). A sheet
shows the faces of smallest and largest first order, and the pixels it depends on.

    python analysis/paths.py --images FACES [--backbone NAME --weights FILE] --out RUN
    python analysis/paths.py RUN … --out DIR
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from from_images import Faces, Study, by_batch
from from_images import main as run_main
from from_runs import Analysis
from in_figures import heading, label_sparsities, legend_over, strata_curves, whiskers
from in_words import (
    SHOWN,
    at_ends,
    from_to,
    listed,
    main_stratum,
    nearest,
    pick,
    records,
    rows_of,
    span,
    told_count,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measured import FEWEST_IMAGES, Level, Lines, Measured, Values, levels
from numpy.typing import NDArray

from prefiqs_jax import plots
from prefiqs_jax.execution.compilation import compiler_options, stored
from prefiqs_jax.execution.precision import at_double, image_type
from prefiqs_jax.plots.labels import plain, shorten
from prefiqs_jax.plots.theme import GREY, look
from prefiqs_jax.sensitivity import (
    displacements_along,
    embedding_jvp,
    frozen,
    largest_valid,
    local_slopes,
    norms,
    path_integral,
    pixel_gradient,
    pixel_map,
    taylor,
    taylor_sums,
)
from prefiqs_jax.sensitivity.finite import weights_at
from prefiqs_jax.statistics import ROUNDING, ROUNDING_AT, TOLERANCE, spearman
from prefiqs_jax.types import Delta

if TYPE_CHECKING:
    import pandas as pd

SCALES = 2.0 ** np.arange(2, -8, -1)
"""t; 1 is the pruned network, and beyond it the same line goes on."""
SMALL = 1 / 8
"""t up to which slopes are fitted: there the next order hardly matters."""
ORDERS = (1, 2, 3)
KINDS = {"order": "network", "frozen": "kinks frozen"}
PREDICTORS = ("norm", "predicted_error", "flips", "severity")
"""What may rank the images by the largest valid t: the norm is of the raw embedding,
flips are known after pruning only."""
_TOLERANCE = 0.03
"""Error bound of the path, of the longest chord; each image's own bound is kept."""
_FACES = 3
"""Faces of each end on the sheet."""


def observe(faces: Faces) -> Callable[[Delta, bool], dict[str, NDArray]]:
    """Make the function that follows all faces along a direction.

    Its columns: ``moved_T``, ‖z(θ + tδ) - z(θ)‖ at t = T; ``order1_T`` … ``order3_T``,
    what the Taylor sums leave of that; ``frozen1_T`` …, the same with frozen kinks;
    ``length`` of the path to t = 1, ``path_error`` and ``panels`` of its quadrature.
    Frozen kinks only at the sparsity that is drawn, where remainders are in float64:
    that takes twenty times as long on a CPU, and slopes need it.
    """
    apply_fn = faces.backbone.apply_fn

    def remainders(
        params: Any, delta: Delta, images: Any, is_shown: bool
    ) -> dict[str, Any]:
        coefficients = taylor(apply_fn, params, delta, images, max(ORDERS))
        along = {"order": displacements_along(apply_fn, params, delta, images, SCALES)}
        if is_shown:
            fixed = frozen(apply_fn, params, images)
            dense = fixed(params)

            def smooth(t: Any) -> Any:
                weights = stored(lambda: weights_at(params, delta, t), t)
                return fixed(weights) - dense

            along["frozen"] = jax.lax.map(smooth, jnp.asarray(SCALES))
        found = {"moved": norms(along["order"])}
        for order in ORDERS:
            sums = taylor_sums(coefficients[:order], SCALES)
            found |= {f"{n}{order}": norms(each - sums) for n, each in along.items()}
        return found

    compiled = {
        is_shown: jax.jit(
            partial(remainders, is_shown=is_shown),
            compiler_options=compiler_options(
                image_type("double" if is_shown else "highest")
            ),
        )
        for is_shown in (False, True)
    }

    def along(delta: Delta, is_shown: bool) -> dict[str, NDArray]:
        params, images = faces.backbone.params, faces.images
        with at_double("double" if is_shown else "highest"):
            dtype = image_type("double" if is_shown else "highest")
            weights, direction = jax.tree.map(
                lambda leaf: jnp.asarray(leaf, dtype), (params, delta)
            )
            found = by_batch(
                partial(compiled[is_shown], weights, direction),
                images.astype(dtype),
            )
        chord = float(found["moved"][SCALES == 1].max())

        def path(some: NDArray) -> dict[str, Any]:
            bound = max(_TOLERANCE * chord, ROUNDING)
            made = path_integral(apply_fn, params, delta, some, bound)
            panels = np.full(len(some), made.panels)
            return {"length": made.length, "path_error": made.error, "panels": panels}

        at_each = {
            f"{name}_{t:g}": values[place]
            for name, values in found.items()
            for place, t in enumerate(SCALES)
        }
        return by_batch(path, images) | at_each

    return along


def measure(measured: Measured) -> "pd.DataFrame":
    """Tabulate path, remainders, slopes, largest valid steps, and what ranks these.

    Statistics: ``length`` (path over chord, geometric mean over images), ``path_error``
    (largest bound over chord); at the sparsity that is drawn ``order_slope`` and
    ``frozen_slope`` (fitted up to :data:`SMALL`, mean), ``order_remainder`` and
    ``frozen_remainder`` (geometric mean, at each t); ``valid`` (largest t with a
    relative residual within :data:`TOLERANCE`, mean; no more than the largest of
    :data:`SCALES`), ``pruned`` (share of the images where that is 1 or more);
    ``spearman`` of what may rank the images by the valid t of order 1.
    """
    lines = Lines(measured)
    shown = nearest(measured.rows["sparsity"])
    for level in levels(measured):
        moved = _along(level, "moved")
        chord = moved[SCALES == 1][0]
        length = level.column("length") / chord
        lines.add(level, "length", "path", np.exp(level.mean(np.log(length))), "log")
        bound = np.full(len(level.weights), np.max(level.column("path_error") / chord))
        lines.add(level, "path_error", "path", bound, "linear")
        for order in ORDERS:
            for kind in KINDS if level.sparsity == shown else ():
                left = _along(level, f"{kind}{order}")
                _slope(lines, level, kind, order, left)
                _remainders(lines, level, kind, order, left)
            relative = _along(level, f"order{order}") / moved
            valid = largest_valid(SCALES, relative, TOLERANCE)
            lines.add(level, "valid", f"order {order}", level.mean(valid), "linear")
            whole = level.mean((valid >= 1).astype(float))
            lines.add(level, "pruned", f"order {order}", whole, "logit")
            if order == 1:
                _ranks(lines, level, valid)
    return lines.table()


def _along(level: Level, name: str) -> Values:
    """Give a number at each scale, shape (scales, images)."""
    return np.stack([level.column(f"{name}_{t:g}") for t in SCALES])


def _slope(lines: Lines, level: Level, kind: str, order: int, left: Values) -> None:
    small = SCALES <= SMALL
    above = np.where(left > ROUNDING_AT["double"], left, np.nan)[small]
    known = np.isfinite(above).sum(axis=0) > 2
    if known.sum() < FEWEST_IMAGES:
        return
    slopes = local_slopes(SCALES[small], above[:, known]).fitted
    own = level.at(known)
    lines.add(own, f"{kind}_slope", f"order {order}", own.mean(slopes), "linear")


def _remainders(
    lines: Lines, level: Level, kind: str, order: int, left: Values
) -> None:
    for t, values in zip(SCALES, left, strict=True):
        if (values > ROUNDING_AT["double"]).all():
            mean = np.exp(level.mean(np.log(values)))
            lines.add(level, f"{kind}_remainder", _at(order, t), mean, "log")


def _at(order: int, t: float) -> str:
    return f"order {order} at t = {t:g}"


def _ranks(lines: Lines, level: Level, valid: Values) -> None:
    inside = (valid > 0) & (valid < SCALES.max())
    if inside.sum() < FEWEST_IMAGES:
        return
    for name in PREDICTORS:
        if name in level.rows and len(np.unique(level.column(name))) > 1:
            value = spearman(level.column(name), valid, level.weights)
            lines.add(level, "spearman", name, value, "fisher")


def finding(table: "pd.DataFrame") -> str:
    """Say how long the path is, how far the first order holds on it, and why."""
    runs = [pick(part, stratum=main_stratum(part)) for part in rows_of(table)]
    lengths = at_ends([records(run, statistic="length") for run in runs], ".3f")
    valid = [records(run, statistic="valid", of="order 1") for run in runs]
    return (
        f"The embedding's path over its chord is {lengths}, and along it the first "
        f"order is within {TOLERANCE:.0%} of the change up to a mean t of "
        f"{at_ends(valid, '.2f')} (t = 1: pruned). {_powers(runs)}; {_ranked(runs)}."
    )


def _powers(runs: Sequence["pd.DataFrame"]) -> str:
    """Say by which power of t the remainders fall, and whether the orders gain it."""
    lines = [line for run in runs for line in records(run, statistic="order_slope")]
    if not lines:
        return "What the orders leave is too near rounding to tell its power of t"
    frozen: dict[str, list[float]] = {}
    for run in runs:
        for line in records(run, statistic="frozen_slope"):
            frozen.setdefault(line["of"], []).append(line["value"])
    each = listed([span(frozen[name], ".2f") for name in sorted(frozen)])
    also = f" (kinks frozen: {each})" if frozen else ""
    short = sum(line["high"] < int(line["of"][-1]) + 1 for line in lines)
    why = ", for no Taylor order contains a kink" if short else ""
    return (
        "What orders 1, 2 and 3 leave falls as t to the power of "
        f"{span([line['value'] for line in lines], '.2f')}{also}, significantly less "
        f"than promised in {short} of {told_count(lines)} orders and runs{why}"
    )


def _ranked(runs: Sequence["pd.DataFrame"]) -> str:
    """Say in how many cases what is known before pruning ranks the images by t."""
    said = []
    for name in PREDICTORS[:2]:
        lines = [
            line for run in runs for line in records(run, statistic="spearman", of=name)
        ]
        sure = sum(line["low"] > 0 or line["high"] < 0 for line in lines)
        if lines:
            said.append(f"with `{name}` in {sure} of {told_count(lines)}")
    if not said:
        return "that t differs between too few images to be correlated"
    return f"that t is significantly correlated {listed(said)} runs and sparsities"


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out path, powers of t, the t of the first order, and what ranks by it."""
    own = pick(part, stratum=main_stratum(part))
    cells = {"path over chord": from_to(records(own, statistic="length"), ".3f")}
    for kind, words in KINDS.items():
        slopes = pick(own, statistic=f"{kind}_slope")
        each = [records(slopes, of=f"order {order}") for order in ORDERS]
        powers = ", ".join(from_to(lines, ".2f") for lines in each)
        cells[f"powers of t, {words}"] = powers if len(slopes) else "–"
    for words, stratum in (("", main_stratum(part)), (", degraded", "degraded")):
        lines = records(part, statistic="valid", of="order 1", stratum=stratum)
        cells[f"t of order 1{words}"] = from_to(lines, ".2f")
    for name in PREDICTORS:
        stratum = "all" if name == "severity" else main_stratum(part)
        lines = records(part, statistic="spearman", of=name, stratum=stratum)
        swept = [line["sparsity"] for line in lines]
        is_all = swept == sorted(set(part["sparsity"]))
        where = "" if is_all or not swept else f" at {swept[0]:g} → {swept[-1]:g}"
        cells[f"`{name}`"] = from_to(lines, ".2f") + where
    return cells


LEGEND = f"""\
Path over chord: length of the embedding's path along θ + tδ from t = 0 to t = 1, by
quadrature to {_TOLERANCE:.0%} of the longest chord; geometric mean over images; 1 is a
straight line. Powers of t: of what orders 1, 2 and 3 leave, up to t = {SMALL:g}, at the
sparsity nearest to {SHOWN:g}; mean over images; a smooth network has 2, 3 and 4, and
higher is better. t of order 1: the largest up to which it is within {TOLERANCE:.0%} of
the change; mean over images; 1 is the pruned network, {SCALES.max():g} is as far as it
is followed, and higher is better. The last four: Spearman's correlation of that t with
`norm` (of the raw embedding) and `predicted_error`, known before pruning, and with
`flips` and, among all images, `severity`; farther from 0 tells more. In brackets: 95%
intervals over people. a → b: at the lowest and at the highest sparsity, or at those
where t differs between enough images."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw a column for each run: path, remainders, valid t, and what ranks it."""
    parts = rows_of(table)
    figure.set_size_inches(max(1, len(parts) / 2) * plots.SCREEN_IN, 9.6)
    axes = figure.subplots(5, len(parts), squeeze=False, sharey="row")
    for column, part in zip(axes.T, parts, strict=True):
        own = pick(part, stratum=main_stratum(part))
        strata_curves(column[0], part, "length")
        column[0].axhline(1, color="0.5", lw=0.7, ls="--", zorder=0)
        for ax, kind in zip(column[1:3], KINDS, strict=True):
            _remainder_panel(ax, own, kind)
        for place, order in enumerate(ORDERS):
            lines = pick(own, statistic="valid", of=f"order {order}")
            whiskers(column[3], lines, place, 3, label=f"order {order}", **look(place))
        column[3].axhline(1, color="0.5", lw=0.7, ls="--", zorder=0)
        column[3].set(ylim=(0, 1.05 * SCALES.max()))
        _rank_panel(column[4], part)
        for ax in (column[0], *column[3:]):
            label_sparsities(ax, own)
        column[0].set_title(heading(part))
        column[0].legend()
        shown = pick(own, statistic="order_remainder")["sparsity"].iloc[0]
        column[1].set_title(f"at sparsity {shown:g}")
    legend_over(axes[1, 0], 3)
    legend_over(axes[4, 0], 2)
    axes[0, 0].set_ylabel("path / chord\n(geometric mean)")
    for row, label in zip(axes[1:3, 0], KINDS.values(), strict=True):
        row.set_ylabel(f"remainder, {label}\n(geometric mean)")
    axes[3, 0].set_ylabel(f"largest t within {TOLERANCE:.0%}\n(mean; 1 = pruned)")
    axes[4, 0].set_ylabel("Spearman ρ with the\nlargest t of order 1")
    return figure


def _remainder_panel(ax: Axes, own: "pd.DataFrame", kind: str) -> None:
    """Draw what each order leaves over t, and powers of t beside it."""
    lines = pick(own, statistic=f"{kind}_remainder").to_dict("records")
    of = {line["of"]: line["value"] for line in lines}
    for place, order in enumerate(ORDERS):
        t = [each for each in SCALES.tolist() if _at(order, each) in of]
        values = [of[_at(order, each)] for each in t]
        ax.loglog(t, values, lw=0.8, ms=3, label=f"order {order}", **look(place))
    for power in (1.5, 2) if kind == "order" else (2, 3, 4):
        order = 1 if kind == "order" else int(power) - 1
        t = SCALES[SCALES <= SMALL]
        start = 0.4 * of.get(_at(order, SMALL), np.nan)
        ax.loglog(t, start * (t / SMALL) ** power, ":", color=GREY, lw=0.9)
        end = t.min(), start * (t.min() / SMALL) ** power
        above = "bottom" if power == 1.5 else "center"
        words = {"ha": "right", "va": above, "fontsize": 7, "color": GREY}
        ax.text(*end, f"$t^{{{power:g}}}$ ", **words)
    ax.set(xlim=(SCALES.min() / 3, 1.3 * SCALES.max()), xlabel="t (1 = pruned)")


def _rank_panel(ax: Axes, part: "pd.DataFrame") -> None:
    for place, name in enumerate(PREDICTORS):
        stratum = "all" if name == "severity" else main_stratum(part)
        lines = pick(part, statistic="spearman", of=name, stratum=stratum)
        label = name.replace("_", " ")
        whiskers(ax, lines, place, len(PREDICTORS), label=label, **look(place))
    ax.axhline(0, color="0.5", lw=0.7, ls="--", zorder=0)
    ax.set(ylim=(-1, 1))


def sheet(faces: Faces, delta: Delta) -> plots.Drawing:
    """Show the faces of least and largest first order, and their gradient by pixel."""
    backbone = faces.backbone
    taps = backbone.taps
    arguments = backbone.params, delta
    jvp = jax.jit(partial(embedding_jvp, backbone.apply_fn))
    moved = by_batch(lambda x: {"": norms(jvp(*arguments, x)[1])}, faces.images)[""]
    count = min(_FACES, len(moved) // 2)
    order = np.argsort(moved)
    chosen = np.concatenate([order[:count], order[::-1][:count]])
    gradient = jax.jit(
        partial(
            pixel_gradient,
            backbone.apply_fn,
            reverse_fn=taps and taps.reverse_fn(),
        )
    )(*arguments, faces.images[chosen])
    values = np.asarray(pixel_map(gradient))
    figure = Figure(figsize=(plots.SCREEN_IN, 1.3 * 4))
    axes = figure.subplots(4, count, squeeze=False)
    for place, face in enumerate(chosen.tolist()):
        row, column = divmod(place, count)
        above, below = axes[2 * row : 2 * row + 2, column]
        above.imshow(faces.pixels[face])
        above.set(xticks=[], yticks=[])
        name, _, degraded = faces.names[face].rpartition("/")[2].partition("~")
        words = (shorten(name, 22), shorten(degraded, 22), f"‖Jδ‖ = {moved[face]:.3g}")
        above.set_title("\n".join(map(plain, words)), fontsize=7)
        plots.pixel_overlay(below, faces.pixels[face], values[place], label="")
    for ax, words in zip(axes[::2, 0], ("smallest", "largest"), strict=True):
        ax.set_ylabel(f"{words} ‖Jδ‖")
    for ax in axes[1::2, 0]:
        ax.set_ylabel("|∂‖Jδ‖/∂x|")
    words = "x as preprocessed; the channel of the largest gradient"
    figure.supxlabel(words, fontsize=7)
    return plots.Drawing(
        "paths_faces", figure, "Pixels that the first order depends on"
    )


ANALYSIS = Analysis(
    "paths",
    "How the embedding gets to the pruned network",
    ("length", "moved_1", "predicted_error"),
    measure,
    finding,
    row,
    LEGEND,
    draw,
    beside_name="paths_images",
)
STUDY = Study(ANALYSIS, ("taylor2", "kinks"), observe, sheet)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, the figures and the finding; return the exit status."""
    return run_main(STUDY, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
