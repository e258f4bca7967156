"""What a run measured of its directions on request: tables, figures, sentences."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots import Drawing, Panel
from prefiqs_jax.plots.alt import ends, ends_of_each
from prefiqs_jax.plots.labels import counted, number, plain
from prefiqs_jax.report.finding import percent
from prefiqs_jax.results import EXTRAS
from prefiqs_jax.results.schema import NODES, PROBES, SCALES
from prefiqs_jax.statistics import (
    TOLERANCE,
    rank_correlations,
    relative_medians,
    validity_medians,
)

if TYPE_CHECKING:
    import pandas as pd

    from prefiqs_jax.report.figures import Sizes

_PAIRS = {
    "expected": (("expected_drift", "first_order"), ("expected_drift", "drift")),
    "metric": (("metric_trace", "first_order"),),
    "pixels": (("pixel_gradient", "first_order"),),
}
"""Columns whose ranks of the images are compared, by the word that measures them."""
_RANKS = "rank_correlations"
_EACH = "Marks: medians of the images with 95 % intervals, each by itself."
_SAME = (
    f"The {PROBES} random directions are the same for all images, so intervals leave "
    "their chance out; grey: twice their standard error (median over the images) on "
    "both sides."
)


def direction_tables(
    known: "pd.DataFrame",
    of_mask: "Mapping[str, pd.DataFrame] | None",
    kinds: Mapping[str, str] | None,
    rounding: float,
) -> "dict[str, pd.DataFrame]":
    """Make a table for each of these words that was measured; none without.

    Parameters
    ----------
    known
        Rows of one network and mask with what is known of the images.
    of_mask
        Tables mask and layers of :func:`prefiqs_jax.report.tables.run_tables`, for ‖δ‖
        and the number of weights; None of a change that is no mask, which may move
        others than the layers'.
    kinds
        Of :func:`prefiqs_jax.report.on_request.kinds_of`.
    rounding
        Largest change that is rounding in this run.

    Returns
    -------
    dict
        Tables by name: validity, path, expected and metric, those that were measured,
        and rank_correlations. Their column stratum is the kind of image; the rows of
        all images come first.
    """
    words = [w for w, names in EXTRAS.items() if names and set(names) <= set(known)]
    parts = {"all": known}
    for kind in dict.fromkeys((kinds or {}).values()):
        of_it = [name for name, own in (kinds or {}).items() if own == kind]
        parts[kind] = known.loc[known["image"].isin(of_it)]

    def medians(*columns: str, over: str | None) -> "Callable[..., pd.DataFrame]":
        return lambda rows: relative_medians(
            rows, columns, over=over, rounding=rounding
        )

    found = {}
    if "validity" in words:
        found["validity"] = _by_kind(
            parts,
            lambda rows: validity_medians(rows, smallest=SCALES[0], rounding=rounding),
        )
    if "path" in words:
        found["path"] = _by_kind(
            parts, medians("path_length", "path_error", over="drift")
        )
    if "expected" in words:
        columns = ("first_order", "drift", "expected_drift_error")
        found["expected"] = _by_kind(parts, medians(*columns, over="expected_drift"))
    if "metric" in words and of_mask is not None and len(of_mask["layers"]):
        added = _quotients(known, of_mask["mask"], of_mask["layers"])
        wider = {name: own.assign(**added) for name, own in parts.items()}
        found["metric"] = _by_kind(wider, medians(*added, over=None))
    pairs = [pair for word in words for pair in _PAIRS.get(word, ())]
    if pairs:
        found[_RANKS] = _by_kind(
            parts, lambda rows: rank_correlations(rows, pairs, rounding=rounding)
        )
    return found


def _by_kind(
    parts: "Mapping[str, pd.DataFrame]",
    tabulate: "Callable[[pd.DataFrame], pd.DataFrame]",
) -> "pd.DataFrame":
    import pandas as pd

    tables = [tabulate(rows).assign(stratum=name) for name, rows in parts.items()]
    return pd.concat(tables, ignore_index=True)


def _quotients(
    known: "pd.DataFrame", mask: "pd.DataFrame", layers: "pd.DataFrame"
) -> "dict[str, pd.Series | pd.DataFrame]":
    """Divide ‖Jδ‖² / ‖δ‖² by tr JᵀJ / n; its error is that of the trace."""
    # The trace is over the leaves that lose weights at any sparsity of the run.
    pruned = layers.loc[layers["achieved_sparsity"] > 0].drop_duplicates("layer")
    norm = mask.set_index("sparsity")["delta_norm"].loc[known["sparsity"]].to_numpy()
    square = (known["first_order"] / norm) ** 2
    return {
        "quotient": square * int(pruned["size"].sum()) / known["metric_trace"],
        "quotient_error": known["metric_trace_error"] / known["metric_trace"],
    }


def draw_directions(
    tables: "Mapping[str, pd.DataFrame]",
    kinds: Mapping[str, str] | None,
    sparsity: float,
    sizes: "Sizes",
) -> Iterator[Drawing]:
    """Draw what :func:`direction_tables` gave. Call inside ``plots.theme()``.

    Tables are those, and the images of the run; pixels are drawn at the sparsity, the
    others over all.
    """
    if "validity" in tables:
        yield _validity(_shown(tables["validity"]), sizes)
    if "path" in tables:
        yield _path(_shown(tables["path"]), sizes)
    if "expected" in tables:
        yield _expected(_shown(tables["expected"]), _shown(tables[_RANKS]), sizes)
    measured = set(tables[_RANKS]["quantity"]) if _RANKS in tables else set()
    if "metric_trace, first_order" in measured:
        metric = tables.get("metric")
        shown = None if metric is None else _shown(metric)
        yield _metric(shown, _shown(tables[_RANKS]), sizes)
    if "pixel_gradient, first_order" in measured:
        yield _pixels(tables["images"], tables[_RANKS], kinds, sparsity, sizes)


def _shown(table: "pd.DataFrame") -> "pd.DataFrame":
    """Take clean and degraded images apart where both are known; else all of them."""
    apart = table.loc[table["stratum"] != "all"]
    return apart if len(apart) else table


def _drawing(
    name: str,
    sizes: "Sizes",
    panels: list[Panel],
    title: str,
    caption: str,
    alt: str,
    *tables: str,
) -> Drawing:
    figure = plots.kind_panels(Figure(figsize=(sizes.width, sizes.width)), *panels)
    return Drawing(name, figure, title, caption, alt, tables, _SECTIONS[name])


def _said(table: "pd.DataFrame", names: Mapping[str, str]) -> str:
    """Write the values at the ends, of each kind."""
    return " ".join(
        f"{kind} images: {ends_of_each(own, 'quantity', 'value', list(names.items()))}"
        for kind, own in table.groupby("stratum", sort=False)
    ).capitalize()


def _validity(table: "pd.DataFrame", sizes: "Sizes") -> Drawing:
    of_t = table.loc[table["quantity"] == "valid_t"]
    slopes = table.loc[table["quantity"] == "slope"]
    ended = of_t.groupby("sparsity")[["at_zero", "at_one", "images"]].sum()
    counts = "; ".join(
        f"{below:g} and {whole:g} of {images:g} at sparsity {sparsity:g}"
        for sparsity, below, whole, images in ended.itertuples(name=None)
    )
    held = slopes.groupby("sparsity")["images"].sum()
    left = f"{held.min()} to {held.max()}" if held.min() < held.max() else held.max()
    names = {"slope": "slope of the remainder", "valid_t": "largest t"}
    return _drawing(
        "validity",
        sizes,
        [
            Panel(table, {"slope": ""}, "slope of the remainder", (2, 1.5)),
            Panel(
                table,
                {"valid_t": ""},
                f"largest t within {percent(TOLERANCE)}\n(1 = pruned)",
                limits=(-0.03, 1.05),
                references=(1,),
            ),
        ],
        "How far along the pruning direction the first order holds",
        "On the line θ + tδ from the dense (t = 0) to the pruned network (t = 1). "
        "Above: by which power of t the remainder of the first order grows from t = "
        "1/2 to 1; dashed, 2: a smooth network; dotted, 3/2: many independent kinks. "
        f"Known of {left} images, whose remainder at t = 1/2 is above rounding. Below: "
        f"largest t up to which it is within {percent(TOLERANCE)} of the change. It is "
        f"not measured below 1/16 nor above 1; images there: {counts}. {_EACH}",
        _said(table, names),
        "validity",
    )


def _path(table: "pd.DataFrame", sizes: "Sizes") -> Drawing:
    names = {"path_length": "length over chord", "path_error": "error over chord"}
    return _drawing(
        "path",
        sizes,
        [
            Panel(table, {"path_length": ""}, "path length / chord", (1,)),
            Panel(table, {"path_error": ""}, "quadrature error / chord", is_log=True),
        ],
        "Length of the embedding's path to the pruned network",
        "Above: length of the path that the embedding takes while t goes from 0 to 1 "
        "in θ + tδ, over its chord, the drift; 1 (dashed): a straight path. Below: "
        f"what the {NODES} nodes of the quadrature miss of the displacement, over the "
        f"chord, too; lengths are known no better than that. {_EACH}",
        _said(table, names),
        "path",
    )


def _expected(table: "pd.DataFrame", ranks: "pd.DataFrame", sizes: "Sizes") -> Drawing:
    measured = {"first_order": "first order (filled)", "drift": "drift (hollow)"}
    pairs = {f"expected_drift, {name}": label for name, label in measured.items()}
    return _drawing(
        "expected",
        sizes,
        [
            Panel(
                table,
                measured,
                "along pruning /\nexpected of random",
                (1,),
                error="expected_drift_error",
            ),
            Panel(ranks, pairs, "Spearman $\\rho$ with\nexpected", (0, 1)),
        ],
        "First order against that expected of random directions",
        "Expected: root mean square of the first order along Gaussian directions with "
        "the norm of δ in every layer. Above: first order and drift over it; above 1 "
        "(dashed) pruning moves faces further than such directions. Below: how alike "
        "it and they rank the images. Marks: medians of the images, and correlations "
        f"over them, with 95 % intervals, each by itself. {_SAME}",
        f"Over expected. {_said(table, measured)} Spearman with expected. "
        f"{_said(ranks, pairs)}",
        "expected",
        _RANKS,
    )


def _metric(
    table: "pd.DataFrame | None", ranks: "pd.DataFrame", sizes: "Sizes"
) -> Drawing:
    pair = {"metric_trace, first_order": "Spearman of the trace and the first order"}
    panels = [Panel(ranks, pair, "Spearman $\\rho$ of\ntrace, first order", (0, 1))]
    below = (
        "how alike the trace of JᵀJ over the pruned leaves, which knows no direction, "
        "and the first order rank the images, with 95 % intervals, each by itself."
    )
    alt = _said(ranks, pair)
    if table is None:
        caption = (
            f"Marks: {below} What it takes to compare ‖Jδ‖² / ‖δ‖² with the mean "
            "eigenvalue, ‖δ‖ and the number of weights, is known of masks in a run "
            "folder only."
        )
        return _drawing("metric", sizes, panels, _TITLE, caption, alt, _RANKS)
    quotient = {"quotient": "quotient"}
    label = "$\\|J\\delta\\|^2/\\|\\delta\\|^2$ /\nmean eigenvalue"
    above = Panel(table, quotient, label, (1,), error="quotient_error", is_log=True)
    caption = (
        "Above: ‖Jδ‖² / ‖δ‖² over the mean eigenvalue of JᵀJ, its trace over the "
        "number of weights of the leaves that lose any; 1 (dashed): as a random "
        f"direction of all these weights. {_EACH} {_SAME} Below: {below}"
    )
    alt = f"{_said(table, quotient)} {alt}"
    panels.insert(0, above)
    return _drawing("metric", sizes, panels, _TITLE, caption, alt, "metric", _RANKS)


_TITLE = "Whether pruning goes where the embedding is sensitive"


def _pixels(
    images: "pd.DataFrame",
    ranks: "pd.DataFrame",
    kinds: Mapping[str, str] | None,
    sparsity: float,
    sizes: "Sizes",
) -> Drawing:
    at = ~images["below_rounding"] & (images["sparsity"] == sparsity)
    rows = images.loc[at]
    rows = rows.assign(stratum=[(kinds or {}).get(n, "all") for n in rows["image"]])
    of_it = ranks["quantity"] == "pixel_gradient, first_order"
    lines = _shown(ranks.loc[of_it & (ranks["sparsity"] == sparsity)])
    labels = {
        str(line["stratum"]): f"{plain(line['stratum'])}, n = "
        f"{counted(line['images'], 'image')}, Spearman {number(line['value'], '.2f')} "
        f"[{number(line['low'], '.2f')}, {number(line['high'], '.2f')}]"
        for line in lines.to_dict("records")
    }
    figure = Figure(figsize=(sizes.width, 0.8 * sizes.width))
    plots.gradient_scatter(figure.add_subplot(), rows, labels)
    return Drawing(
        "pixels",
        figure,
        f"First order and its gradient by the image at sparsity {sparsity:g}",
        "Each point is one image: norm of the gradient of ‖Jδ‖ by the pixels that the "
        "network is given, against ‖Jδ‖. A high one means that a small change of the "
        "pixels changes the predicted quality. Rank correlations with 95 % intervals, "
        "each by itself. The run has the norm only; the gradient of each pixel is that "
        "of prefiqs_jax.sensitivity.pixel_gradient, and plots.pixel_overlay lays it "
        "over faces.",
        f"{'; '.join(labels.values())}.",
        ("images", _RANKS),
        _SECTIONS["pixels"],
    )


_SECTIONS = {
    "validity": "Validity along the pruning direction",
    "path": "Path of the embedding",
    "expected": "Random directions",
    "metric": "Metric of the weights",
    "pixels": "Pixels",
}


_FINDINGS = (
    (
        "validity",
        "valid_t",
        "Largest part t of δ up to which the first order is within "
        f"{percent(TOLERANCE)} of the change (median; 1: pruned, 0: below 1/16)",
    ),
    ("path", "path_length", "Path of the embedding over its chord (median)"),
    (
        "expected",
        "first_order",
        "First order over that expected of random directions with the norm of δ in "
        "every layer (median)",
    ),
    (
        "metric",
        "quotient",
        "‖Jδ‖² / ‖δ‖² over that of a random direction of all weights (median)",
    ),
    (
        _RANKS,
        "pixel_gradient, first_order",
        "Spearman ρ of the first order and its gradient by the image",
    ),
)
"""Table, quantity, and what it is called."""


def direction_findings(tables: "Mapping[str, pd.DataFrame]") -> list[str]:
    """Say a sentence of each that was measured, of all images."""
    found = []
    for table, quantity, words in _FINDINGS:
        if table in tables:
            own = tables[table]
            own = own.loc[(own["stratum"] == "all") & (own["quantity"] == quantity)]
            if own["value"].notna().any():
                found.append(f"{words}: {ends(own, 'value')}.")
    return found
