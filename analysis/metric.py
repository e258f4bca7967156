"""Ask whether pruning goes where the embedding is sensitive, by the metric G = JᵀJ.

Image by image: ‖Jδ‖²/‖δ‖² of the pruning direction over the mean eigenvalue tr G / n of
its n prunable weights; ‖Jδ‖² over what is expected of Gaussian directions with the norm
of δ in every layer, and how alike the two and the norm of the raw embedding rank the
images (Spearman); of a few faces, the leading eigenvalues and what δ has of them.

    python analysis/metric.py --images FACES [--backbone NAME --weights FILE] --out RUN
    python analysis/metric.py RUN … --out DIR
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from from_images import Faces, Study, by_batch
from from_images import main as run_main
from from_runs import Analysis
from in_figures import (
    heading,
    label_sparsities,
    legend_over,
    ratio_axis,
    strata_curves,
    whiskers,
)
from in_words import (
    at_ends,
    from_to,
    main_stratum,
    most,
    pick,
    records,
    rows_of,
    span,
    told_count,
)
from matplotlib.figure import Figure
from measured import FEWEST_IMAGES, Level, Lines, Measured, Values, levels, pairs
from numpy.typing import NDArray

from prefiqs_jax import plots
from prefiqs_jax.execution.compilation import compiler_options
from prefiqs_jax.plots.theme import look
from prefiqs_jax.sensitivity import (
    control_directions,
    expected_squared_drift,
    metric_eigenvalues,
    metric_trace,
    share_in_subspace,
)
from prefiqs_jax.statistics import spearman
from prefiqs_jax.trees import weight_count
from prefiqs_jax.types import Delta

if TYPE_CHECKING:
    import pandas as pd

PROBES = 32
"""Random signs of the weights for a trace, the same for all images."""
FEW = 5
"""Faces, each of another person, whose eigenvalues are found."""
COUNT = 5
"""Eigenvalues of each."""
CONVERGED = 0.01
"""Residual of an eigenvalue, as a part of it, up to which it has converged."""
EQUAL = 0.1
"""Part by which a ratio may differ from 1 and is called that, if all of its interval
is within."""
RATIOS = {"quotient": "over all weights", "expected_ratio": "over layers' norms"}
SHARES = {"norm": "pruning", "random": "random", "by_layer": "random, by layer"}
RANKED = {"first_order": "‖Jδ‖", "expected": "expected", "norm": "norm"}


def observe(faces: Faces) -> Callable[[Delta, bool], dict[str, NDArray]]:
    """Make the function that holds a direction against the metric of all faces.

    Its columns: ``weights`` (n) and ``delta_norm``; ``trace`` and ``expected`` (of
    ‖Jδ‖² along Gaussian directions), each with its standard error ``…_error``; of the
    first face of some people ``eigenvalue_1`` … with ``eigen_residual_1`` …, and
    ``share_norm``, ``share_effect``, ``share_random`` and ``share_by_layer`` of
    :class:`prefiqs_jax.sensitivity.Share`; NaN of all others.
    """
    apply_fn, params = faces.backbone.apply_fn, faces.backbone.params
    compiled = partial(jax.jit, compiler_options=compiler_options())
    count = min(COUNT, faces.backbone.embedding_dim - 1)
    taps = faces.backbone.taps
    reverse_fn = taps and taps.reverse_fn()
    few = _few(faces)
    key = jax.random.key(0)

    @compiled
    def trace(params: Any, images: Any) -> dict[str, Any]:
        found = metric_trace(apply_fn, params, images, key, PROBES)
        return {"trace": found.value, "trace_error": found.standard_error}

    @compiled
    def expected(params: Any, directions: Any, images: Any) -> dict[str, Any]:
        found = expected_squared_drift(
            apply_fn, params, directions, images, probes=PROBES, key=key
        )
        return {"expected": found.value, "expected_error": found.standard_error}

    @compiled
    def share(params: Any, delta: Any, images: Any, vectors: Any) -> Any:
        return share_in_subspace(
            apply_fn,
            params,
            delta,
            images,
            count,
            vectors=vectors,
            reverse_fn=reverse_fn,
        )

    def spread(values: Any) -> NDArray:
        """Put numbers of the few in their places."""
        out = np.full(len(faces.names), np.nan)
        out[few] = values
        return out

    find = partial(metric_eigenvalues, apply_fn, count=count, reverse_fn=reverse_fn)
    eigen = compiled(find)(params, faces.images[few])
    same = {"weights": np.full(len(faces.names), weight_count(params))}
    same |= by_batch(partial(trace, params), faces.images)
    for place in range(count):
        same[f"eigenvalue_{place + 1}"] = spread(eigen.values[:, place])
        same[f"eigen_residual_{place + 1}"] = spread(eigen.residual[:, place])

    def against(delta: Delta, is_shown: bool) -> dict[str, NDArray]:
        del is_shown
        leaves = jax.tree.leaves(delta)
        squares = sum(float(np.square(leaf, dtype=float).sum()) for leaf in leaves)
        directions = control_directions("gaussian", params, delta)
        own = share(params, delta, faces.images[few], eigen.vectors)
        return {
            **same,
            **by_batch(partial(expected, params, directions), faces.images),
            "delta_norm": np.full(len(faces.names), np.sqrt(squares)),
            "share_norm": spread(own.norm),
            "share_effect": spread(own.effect),
            "share_random": spread(own.random),
            "share_by_layer": spread(own.random_by_leaf),
        }

    return against


def _few(faces: Faces) -> list[int]:
    """Choose the first face of each of some people; where they are unknown, faces."""
    both = zip(faces.names, faces.identities, strict=True)
    names = [name if who is None else who for name, who in both]
    return [names.index(who) for who in dict.fromkeys(names)][:FEW]


def measure(measured: Measured) -> "pd.DataFrame":
    """Tabulate the pruning direction against the metric.

    Statistics, geometric means over images but for correlations: ``quotient`` of
    ``pruning`` (‖Jδ‖²/‖δ‖² over tr G / n) and ``expected_ratio`` (‖Jδ‖² over its
    expectation); ``degraded_ratio`` of either (a copy's over its original's, stratum
    all); ``trace`` and ``standard_error`` (mean, of trace and of expectation, as a part
    of it); ``spearman`` of pairs of ‖Jδ‖, expectation and norm, ``nearer`` (that of
    expectation and norm less that of it and ‖Jδ‖, in size); of the few faces
    ``eigen_share`` (λ / tr G), ``unconverged`` (share of these eigenvalues, mean),
    ``share`` of ‖δ‖² in their span beside what is expected of random directions, and
    ``effect`` (what that makes of ‖Jδ‖²).
    """
    lines = Lines(measured)
    for level in levels(measured):
        first, trace, expected = (
            level.column(name) for name in ("first_order", "trace", "expected")
        )
        mean = trace / level.column("weights")
        ratios = {
            "quotient": first**2 / level.column("delta_norm") ** 2 / mean,
            "expected_ratio": first**2 / expected,
        }
        for name, ratio in ratios.items():
            _add_mean(lines, level, name, "pruning", ratio)
            copies, originals = pairs(level)
            if level.stratum == "all" and len(copies) >= FEWEST_IMAGES:
                change = ratio[copies] / ratio[originals]
                _add_mean(lines, level.at(copies), "degraded_ratio", name, change)
        _add_mean(lines, level, "trace", "metric", trace)
        for name in ("trace", "expected"):
            error = level.mean(level.column(f"{name}_error") / level.column(name))
            lines.add(level, "standard_error", name, error, "linear")
        ranks = []
        for one, other in combinations(RANKED, 2):
            values = level.column(one), level.column(other)
            ranks.append(spearman(*values, level.weights))
            of = f"{RANKED[one]}, {RANKED[other]}"
            lines.add(level, "spearman", of, ranks[-1], "fisher")
        nearer = abs(ranks[2]) - abs(ranks[0])
        lines.add(level, "nearer", "norm", nearer, "linear")
        _eigen(lines, level)
    return lines.table()


def _add_mean(
    lines: Lines, level: Level, statistic: str, of: str, values: Values
) -> None:
    lines.add(level, statistic, of, np.exp(level.mean(np.log(values))), "log")


def _eigen(lines: Lines, level: Level) -> None:
    """Add what is known of the few faces, which are clean ones."""
    few = level.at(np.isfinite(level.column("eigenvalue_1")))
    if len(few.rows) < 2:
        return
    # People of whom none is among the few would be replicates that change nothing.
    few = few._replace(weights=few.weights[[True, *(few.weights[1:] == 0).any(axis=1)]])
    names = [n for n in few.rows if n.startswith("eigenvalue_")]
    trace, loose = few.column("trace"), []
    for name in names:
        place = name.rpartition("_")[2]
        value, rest = few.column(name), few.column(f"eigen_residual_{place}")
        _add_mean(lines, few, "eigen_share", f"λ{place}", value / trace)
        loose.append(rest > CONVERGED * value)
    whole = few.mean(np.mean(loose, axis=0))
    lines.add(few, "unconverged", f"{len(names)} eigenvalues", whole, "linear")
    for column, of in SHARES.items():
        _add_mean(lines, few, "share", of, few.column(f"share_{column}"))
    _add_mean(lines, few, "effect", "pruning", few.column("share_effect"))


def finding(table: "pd.DataFrame") -> str:
    """Say how sensitive the embedding is along pruning, and whether that is special."""
    runs = [pick(part, stratum=main_stratum(part)) for part in rows_of(table)]
    per_weight, expected, ranks, nearer = (
        [records(run, statistic=name, **keys) for run in runs]
        for name, keys in (
            ("quotient", {}),
            ("expected_ratio", {}),
            ("spearman", {"of": "‖Jδ‖, expected"}),
            ("nearer", {}),
        )
    )
    every = [line for lines in per_weight for line in lines]
    more = sum(line["low"] > 1 for line in every)
    less = sum(line["high"] < 1 for line in every)
    differences = [line for lines in nearer for line in lines]
    close = sum(line["low"] > 0 for line in differences)
    return (
        "Along pruning ‖Jδ‖²/‖δ‖² over its mean of all directions of the weights is "
        f"{at_ends(per_weight, '.2f')}: significantly above 1 in {more} and below in "
        f"{less} of {told_count(every)} runs and sparsities. ‖Jδ‖² over that of "
        "Gaussian directions of δ's norm in every layer is "
        f"{at_ends(expected, '.2f')}{_alike(expected)}; the two rank the images alike "
        "to Spearman "
        f"{span([line['value'] for lines in ranks for line in lines], '.2f')}, and in "
        f"{close} of {told_count(differences)} the second is nearer to the raw "
        "embedding's norm than to the first."
    )


def _alike(ratios: Sequence[Sequence[dict[Any, Any]]]) -> str:
    """Say in how many cases pruning moves faces as a random direction does.

    >>> same = {"low": 0.9, "high": 1.1}
    >>> _alike([[same, {"low": 0.9, "high": 1.3}]])[:65]
    '; in 1 of 2 the first orders are alike to 10%: there, against the'
    >>> _alike([[{"low": 1.1, "high": 1.3}]])
    '; in 0 of 1 the first orders are alike to 10%'
    """
    # The first order itself, whose square this is, differs by half as much.
    low, high = (1 + EQUAL) ** -2, (1 + EQUAL) ** 2
    lines = [line for each in ratios for line in each]
    alike = sum(line["low"] >= low and line["high"] <= high for line in lines)
    said = (
        f"; in {alike} of {told_count(lines)} the first orders are alike to {EQUAL:.0%}"
    )
    if alike:
        said += (
            ": there, against the claim, the pruning direction is not special in how "
            "far it moves faces"
        )
    return said


def row(part: "pd.DataFrame") -> dict[str, str]:
    """Lay out both ratios, ranks, and what the leading eigenvalues hold."""
    own = pick(part, stratum=main_stratum(part))
    cells = {}
    for name, words in RATIOS.items():
        cells[words] = from_to(records(own, statistic=name), ".2f")
        copies = records(part, statistic="degraded_ratio", of=name)
        cells[f"{words}, degraded"] = from_to(copies, ".2f")
    for of in ("‖Jδ‖, expected", "expected, norm"):
        lines = records(own, statistic="spearman", of=of)
        cells[f"Spearman: {of}"] = from_to(lines, ".2f")
    return cells | _spans(own)


def _spans(own: "pd.DataFrame") -> dict[str, str]:
    """Lay out what the leading eigenvalues hold, and what δ has of them."""
    shares = {of: records(own, statistic="share", of=of) for of in SHARES.values()}
    held = "–"
    if shares["pruning"]:
        first = shares["pruning"][0]
        at = pick(own, sparsity=first["sparsity"])
        values = pick(at, statistic="eigen_share")["value"]
        (loose,) = pick(at, statistic="unconverged")["value"]
        total = len(values) * first["images"]
        bad = round(loose * total)
        held = (
            f"{values.sum():.0%}{f' ({bad} of {total} not converged)' if bad else ''}"
        )
    return {
        f"{COUNT} eigenvalues": held,
        "share of ‖δ‖²": from_to(shares["pruning"], ".1e"),
        "share of random": from_to(shares["random, by layer"], ".1e"),
        "share of ‖Jδ‖²": from_to(records(own, statistic="effect"), ".0%"),
    }


LEGEND = f"""\
Over all weights: ‖Jδ‖²/‖δ‖² over tr G / n, what random directions of all n prunable
weights have in mean, by {PROBES} probes. Over layers' norms: ‖Jδ‖² over its expectation
along Gaussian directions with the norm of δ in every layer. Both are geometric means
over images; above 1, pruning moves the embedding more than these directions do.
Degraded: a copy's ratio over its original's; 1 is no difference. Spearman: of ‖Jδ‖,
that expectation, and the norm of the raw embedding; farther from 0 is more alike.
Eigenvalues: the leading ones of G, of one face of up to {FEW} people each, as a part of
tr G, and how many are not known to {CONVERGED:.0%}. Share of ‖δ‖²: what of it lies in
their span; of random: of directions with the norms of δ by layer; of ‖Jδ‖²: what comes
of that part. In brackets: 95% intervals over people. a → b: at the lowest and at the
highest sparsity."""


def draw(figure: Figure, table: "pd.DataFrame") -> Figure:
    """Draw a column for each run: both ratios, ranks, and shares of δ."""
    parts = rows_of(table)
    figure.set_size_inches(max(1, len(parts) / 2) * plots.SCREEN_IN, 8)
    axes = figure.subplots(4, len(parts), squeeze=False, sharey="row")
    for column, part in zip(axes.T, parts, strict=True):
        own = pick(part, stratum=main_stratum(part))
        for ax, name in zip(column, ("quotient", "expected_ratio"), strict=False):
            strata_curves(ax, part, name)
        for ax, statistic in ((column[2], "spearman"), (column[3], "share")):
            lines = pick(own, statistic=statistic)
            names = list(dict.fromkeys(lines["of"]))
            for place, name in enumerate(names):
                of = pick(lines, of=name)
                whiskers(ax, of, place, len(names), label=name, **look(place))
        for ax in column:
            label_sparsities(ax, own)
        column[0].set_title(heading(part))
        column[0].legend(loc="upper left")
        column[2].axhline(0, color="0.5", lw=0.7, ls="--", zorder=0)
        column[2].set(ylim=(-1, 1))
        if names:
            column[3].set_yscale("log")
            column[3].set_title(f"{most(lines, 'images')} faces")
    for ax in axes[:2].flat:  # a row shares its limits, so after all of it is drawn
        ratio_axis(ax)
    axes[0, 0].set_ylim(top=6)  # room for legends
    legend_over(axes[2, 0], 1)
    if "share" in set(table["statistic"]):
        legend_over(axes[3, 0], 1)
    axes[0, 0].set_ylabel("‖Jδ‖²/‖δ‖² over tr G / n\n(no unit, geometric mean)")
    axes[1, 0].set_ylabel("‖Jδ‖² over expected\n(no unit, geometric mean)")
    axes[2, 0].set_ylabel("Spearman ρ")
    axes[3, 0].set_ylabel(f"share of ‖δ‖² in {COUNT}\nleading directions")
    return figure


ANALYSIS = Analysis(
    "metric",
    "Whether pruning goes where the embedding is sensitive",
    ("trace", "expected", "delta_norm", "eigenvalue_1"),
    measure,
    finding,
    row,
    LEGEND,
    draw,
    beside_name="metric_images",
)
STUDY = Study(ANALYSIS, (), observe)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables, the figure and the finding; return the exit status."""
    return run_main(STUDY, __doc__, arguments)


if __name__ == "__main__":
    sys.exit(main())
