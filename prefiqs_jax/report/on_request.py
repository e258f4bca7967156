"""What a run measured on request: its tables and figures."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots import Drawing
from prefiqs_jax.plots.alt import ends, ends_of_each, extremes
from prefiqs_jax.report.finding import percent
from prefiqs_jax.report.on_directions import direction_tables, draw_directions
from prefiqs_jax.results import TABLES
from prefiqs_jax.statistics import (
    compare_with_controls,
    flip_table,
    held_shares,
    relative_medians,
    share_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from prefiqs_jax.report.figures import Sizes


_OF_ROW = ("mask", "image", "identity", "sparsity")


def unfold_rows(rows: "pd.DataFrame") -> "dict[str, pd.DataFrame]":
    """Take the tables out of rows of ``sweep_arrays``, whose numbers are dicts."""
    import pandas as pd

    found = {}
    for table, (label, numbers) in TABLES.items():
        if f"{table}.{numbers[0]}" not in rows:
            continue
        lines = [
            (*keys, name, *(float(each[name]) for each in dicts))
            for *keys, dicts in zip(
                *(rows[name] for name in _OF_ROW),
                zip(*(rows[f"{table}.{number}"] for number in numbers), strict=True),
                strict=True,
            )
            for name in dicts[0]
        ]
        found[table] = pd.DataFrame(lines, columns=[*_OF_ROW, label, *numbers])
    return found


def request_tables(
    known: "pd.DataFrame",
    measured: "Mapping[str, pd.DataFrame]",
    of_mask: "Mapping[str, pd.DataFrame] | None",
    rounding: float,
) -> "dict[str, pd.DataFrame]":
    """Make the tables of what was measured on request; none without.

    Parameters
    ----------
    known
        Rows of one network and mask with what is known of the images.
    measured
        Tables kinks, layers and controls of :func:`prefiqs_jax.results.read`, as far as
        the run has them.
    of_mask
        As for :func:`prefiqs_jax.report.on_directions.direction_tables`.
    rounding
        Largest change that is rounding in this run.
    """
    kinds = kinds_of(known)
    found = direction_tables(known, of_mask, kinds, rounding)
    orders = [column for column in plots.ORDERS if column in known]
    if len(orders) > 1:
        found["held"] = held_shares(known, orders, rounding=rounding)
    for name, columns in (("orders", plots.ORDERS), ("kinks", plots.PARTS)):
        there = [column for column in columns if column in known]
        if len(there) > 1:
            found[name] = relative_medians(known, there, rounding=rounding)
    if "kinks" in measured:
        found["flips"] = flip_table(_as_clusters(measured["kinks"], known))
    if "layers" in measured:
        identities = None
        if bool(known["identity"].notna().all()):
            identities = dict(zip(known["image"], known["identity"], strict=True))
        elif "copy_of" in known:
            identities = dict(zip(known["image"], known["copy_of"], strict=True))
        found["contributions"] = share_table(
            measured["layers"], groups=kinds, identities=identities
        )
    if "controls" in measured:
        drawn = measured["controls"]
        parts = drawn["control"].str.rsplit("/", n=1, expand=True)
        compared = compare_with_controls(
            known,
            drawn.assign(control=parts[0], replicate=parts[1].astype(int)),
            rounding=rounding,
        )
        found["controls"] = compared.means
        found["control_ranks"] = compared.ranks
    return found


def kinds_of(known: "pd.DataFrame") -> dict[str, str] | None:
    """Give each image's kind, clean or degraded; None unless there are both."""
    if "severity" not in known:
        return None
    found = {
        image: "unknown" if np.isnan(at) else "degraded" if at > 0 else "clean"
        for image, at in zip(known["image"], known["severity"], strict=True)
    }
    # Clean ones first.
    ordered = dict(sorted(found.items(), key=lambda pair: pair[1]))
    return ordered if {"clean", "degraded"} <= set(found.values()) else None


def _as_clusters(table: "pd.DataFrame", known: "pd.DataFrame") -> "pd.DataFrame":
    if "copy_of" not in known:
        return table
    of = dict(zip(known["image"], known["copy_of"], strict=True))
    return table.assign(copy_of=[of[image] for image in table["image"]])


def draw_on_request(
    tables: "Mapping[str, pd.DataFrame]",
    contributions: "pd.DataFrame | None",
    kinds: Mapping[str, str] | None,
    sparsity: float,
    sizes: "Sizes",
) -> Iterator[Drawing]:
    """Draw what the tables have of it. Call inside ``plots.theme()``.

    Parameters
    ----------
    tables
        Those of :func:`request_tables`, and the layers and images of the run.
    contributions
        Table layers of the run; None if it has none.
    kinds
        Of :func:`kinds_of`.
    sparsity
        At which profiles by depth are drawn.
    sizes
        Width, and greatest height.
    """
    curve = (sizes.width, 0.68 * sizes.width)
    if "orders" in tables:
        figure = Figure(figsize=curve)
        ax = figure.add_subplot()
        plots.medians_against_sparsity(ax, tables["orders"], plots.ORDERS)
        yield Drawing(
            "taylor_orders",
            figure,
            "What each order of the Taylor series leaves",
            "Distance of the partial sum of each order from the real change, over the "
            "drift: medians of the images with 95 % intervals, each by itself. Where "
            "the curves of two orders meet, the higher one has stopped helping. Solid "
            "line: as well as predicting no change; dashed: 10 %.",
            _medians(tables["orders"], plots.ORDERS),
            ("orders",),
            _SECTIONS["orders"],
        )
        figure = Figure(figsize=curve)
        held = tables["held"]
        plots.held_against_sparsity(figure.add_subplot(), held, plots.ORDERS)
        yield Drawing(
            "images_within_tolerance",
            figure,
            "For how many images each order holds",
            "Share of the images whose relative error, the distance of the partial sum "
            f"from the real change over the drift, is within "
            f"{percent(held['tolerance'].iloc[0])}, with 95 % intervals, each by "
            "itself.",
            f"Share of the images within "
            f"{percent(held['tolerance'].iloc[0])}. "
            f"{ends_of_each(held, 'quantity', 'share', list(plots.ORDERS.items()))}",
            ("held",),
            _SECTIONS["orders"],
        )
    if "kinks" in tables:
        figure = Figure(figsize=(sizes.width, 0.8 * sizes.width))
        ax = figure.add_subplot()
        plots.medians_against_sparsity(ax, tables["kinks"], plots.PARTS)
        yield Drawing(
            "kink_residual",
            figure,
            "Smooth curvature and kinks in the first order's residual",
            "The residual is the sum, as vectors, of what a network would leave whose "
            "activations keep their slopes (smooth) and of what the changed slopes add "
            "(kinks). Norms over the drift, medians of the images with 95 % intervals, "
            "each by itself.",
            _medians(tables["kinks"], plots.PARTS),
            ("kinks",),
            _SECTIONS["kinks"],
        )
    if "flips" in tables:
        flips = tables["flips"]
        at = flips.loc[flips["sparsity"] == sparsity]
        count = len(set(flips["activation"]))
        figure = Figure(figsize=(sizes.width, _height(count, sizes)))
        plots.flips_by_depth(figure.add_subplot(), flips, sparsity=sparsity)
        yield Drawing(
            "flips_by_depth",
            figure,
            f"Sign changes of activations at sparsity {sparsity:g}",
            "Inputs of each activation that have another sign in the pruned network, "
            "and those of which the tangents say so without pruning.",
            f"Mean sign changes of an image: {extremes(at, 'flips', 'activation')}.",
            ("flips",),
            _SECTIONS["kinks"],
        )
    if contributions is not None:
        yield from _draw_layers(tables, contributions, kinds, sparsity, sizes)
    if "controls" in tables:
        figure = Figure(figsize=curve)
        plots.control_panels(figure, tables["controls"], tables["control_ranks"])
        means = tables["controls"]
        moved = means.loc[means["quantity"] == "drift"]
        alone = moved.drop_duplicates("sparsity")
        yield Drawing(
            "controls",
            figure,
            "Pruning against other directions of its norm in every layer",
            "Above: means over the images along each control direction (marks: mean of "
            f"up to {means['replicates'].max()} draws; bars: from the lowest to the "
            "highest of them) beside pruning (black). Below: how alike pruning and a "
            "control rank the images by drift (filled), and two draws of that control "
            "(hollow), with 95 % intervals that hold together. Where black lies within "
            "the bars, and filled marks are as high as hollow ones, pruning is no "
            f"special direction. n = {means['images'].max()} images.",
            f"Mean drift. Pruning: {ends(alone, 'observed')}; "
            f"{ends_of_each(moved, 'control', 'control_mean')}",
            ("controls", "control_ranks"),
            _SECTIONS["controls"],
        )
    yield from draw_directions(tables, kinds, sparsity, sizes)


_SECTIONS = {
    "orders": "Taylor series beyond the first order",
    "kinks": "Kinks of activations",
    "layers": "Contributions of the layers",
    "controls": "Control directions",
}


def _draw_layers(
    tables: "Mapping[str, pd.DataFrame]",
    contributions: "pd.DataFrame",
    kinds: Mapping[str, str] | None,
    sparsity: float,
    sizes: "Sizes",
) -> Iterator[Drawing]:
    shares = tables["contributions"]
    shares = shares.loc[shares["sparsity"] == sparsity]
    figure = Figure(figsize=(sizes.width, _height(shares["layer"].nunique(), sizes)))
    plots.contribution_profile(
        figure.add_subplot(),
        shares,
        pruned=_pruned_norms(tables["layers"], sparsity),
        pruned_label="pruned norm: share of $\\|\\delta\\|^2$",
    )
    yield Drawing(
        "contribution_profile",
        figure,
        f"Contribution of each layer to the first-order drift at sparsity {sparsity:g}",
        "⟨u, Jδ of the layer⟩ with u = Jδ / ‖Jδ‖, as a share of the first-order drift: "
        "the shares of an image sum to 1. Marks: medians with 95 % intervals, "
        "each by itself. Bars: the layer's share of ‖δ‖². The scale is linear within "
        "±0.01, logarithmic beyond.",
        f"Median share of the drift: {extremes(shares, 'share', 'layer')}.",
        ("contributions", "layers"),
        _SECTIONS["layers"],
    )
    figure = Figure(figsize=(sizes.width, _height(shares["layer"].nunique(), sizes)))
    plots.contribution_map(
        figure.add_subplot(), contributions, sparsity=sparsity, groups=kinds
    )
    yield Drawing(
        "contribution_map",
        figure,
        f"The same, image by image, at sparsity {sparsity:g}",
        "Each column is an image. A layer with a negative share moves the embedding "
        "against the drift. All sparsities: prefiqs_jax.results.read(RUN, 'layers').",
        f"Median share of the drift: {extremes(shares, 'share', 'layer')}.",
        ("image_shares",),
        _SECTIONS["layers"],
    )


def _medians(table: "pd.DataFrame", labels: Mapping[str, str]) -> str:
    told = ends_of_each(table, "quantity", "value", list(labels.items()))
    return f"Medians of the residual over the drift. {told}"


def _pruned_norms(layers: "pd.DataFrame", sparsity: float) -> dict[str, float] | None:
    """Give ‖δ‖² of each layer; None if the run did not record it."""
    at = layers.loc[layers["sparsity"] == sparsity]
    norms = at["delta_norm"].to_numpy(np.float64)
    if not len(at) or not np.isfinite(norms).all():
        return None
    return dict(zip(at["layer"], norms**2, strict=True))


def _height(count: int, sizes: "Sizes") -> float:
    return min(sizes.highest, 1.2 + 0.15 * count)
