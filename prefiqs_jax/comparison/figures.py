"""Draw the figures of a comparison of masks."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.plots import Drawing, MissedFace
from prefiqs_jax.plots.alt import ends_of_each, extremes
from prefiqs_jax.report.figures import missed_tiles

if TYPE_CHECKING:
    import pandas as pd

_WIDTH_IN = plots.SCREEN_IN
_WHISKERS = "Whiskers are 95 % intervals over the people, each by itself."


def draw_figures(
    tables: "Mapping[str, pd.DataFrame]",
    faces: Mapping[str, Sequence[MissedFace]],
    about_areas: str,
) -> list[Drawing]:
    """Draw every figure that the tables have numbers for, inside ``plots.theme()``.

    Parameters
    ----------
    tables
        masks (with pauc), layers and overlap.
    faces
        Heading to the worst-predicted faces of a mask.
    about_areas
        What limits the areas.
    """
    masks = tables["masks"]
    drawings = [_agreement(masks, "mean_drift")]
    if np.any(masks["delta_norm_relative"].notna()):
        drawings.append(_agreement(masks, "delta_norm_relative"))
    if np.any(masks["separation"].notna()):
        drawings.append(_separation(masks))
    if np.any(masks["pauc"].notna()):
        drawings.append(_areas(masks, about_areas))
    drawings += _layers(tables["layers"])
    drawings += _overlaps(tables["overlap"])
    if any(faces.values()):
        drawings.append(_faces(faces))
    return drawings


def _curves(masks: "pd.DataFrame", x: str, *statistics: str) -> Figure:
    figure = Figure(figsize=(_WIDTH_IN, 2))
    return plots.mask_curve_panels(figure, masks, x, statistics)


def _agreement(masks: "pd.DataFrame", x: str) -> Drawing:
    at, why = {
        "mean_drift": (
            "mean drift",
            "At one sparsity masks differ several times in how far they move "
            "embeddings, and the first order is worse the farther they move: compare "
            "masks at equal mean drift.",
        ),
        "delta_norm_relative": (
            "the norm of the change of the weights",
            "The norm says how long the step in the weights is, whatever it does to "
            "the embeddings.",
        ),
    }[x]
    return Drawing(
        f"agreement_against_{x}",
        _curves(masks, x, "median_relative_residual", "spearman"),
        f"Agreement of first order and drift against {at}",
        f"{why} A line joins the sparsities of a mask. {_WHISKERS} Lower residuals and "
        "higher correlations are better.",
        "Median relative residual. "
        f"{ends_of_each(masks, 'mask', 'median_relative_residual', by=x)}",
        ("masks", "matched"),
    )


def _separation(masks: "pd.DataFrame") -> Drawing:
    return Drawing(
        "separation_against_mean_drift",
        _curves(masks, "mean_drift", "separation"),
        "How well drift tells degraded images from clean ones",
        "Area under the ROC curve: the probability that a degraded image drifts "
        f"farther than a clean one; 0.5, dashed, is no separation. {_WHISKERS}",
        f"{ends_of_each(masks, 'mask', 'separation', by='mean_drift')}",
        ("masks", "separation"),
    )


def _areas(masks: "pd.DataFrame", about: str) -> Drawing:
    return Drawing(
        "pauc_against_mean_drift",
        _curves(masks, "mean_drift", "pauc"),
        "Error versus discard by the quality of each mask",
        "Area under the curve of FNMR at FMR 0.001 over the discarded fraction, up to "
        "0.3, of the quality 1 - drift / 2 (protocol crfiqa); lower = better. "
        f"{about + '.' if about else _WHISKERS}",
        f"{ends_of_each(masks, 'mask', 'pauc', by='mean_drift')}",
        ("masks", "areas"),
    )


def _layers(layers: "pd.DataFrame") -> list[Drawing]:
    """Draw a map for each sparsity that has a mask."""
    drawings = []
    for sparsity, part in layers.groupby("sparsity"):
        names = list(dict.fromkeys(part["layer"]))
        names.sort(key=_natural)
        sizes = dict(zip(part["layer"], part["size"], strict=True))
        masks = list(dict.fromkeys(part["mask"]))
        wide = part.pivot(index="layer", columns="mask", values="achieved_sparsity")
        figure = Figure(figsize=(_WIDTH_IN, min(12.0, 1.2 + 0.15 * len(names))))
        plots.layer_profiles(
            figure.add_subplot(),
            names,
            [int(sizes[name]) for name in names],
            masks,
            wide.loc[names, masks].to_numpy(np.float64),
        )
        drawings.append(
            Drawing(
                f"layers_{sparsity:g}",
                figure,
                f"Sparsity of each layer at sparsity {sparsity:g}",
                "Fraction of each layer's weights that a mask drops, where it drops "
                f"{sparsity:g} of the whole network; × marks a layer that loses all. "
                "The table has the norm of what each layer loses, too.",
                f"Layers lose {extremes(part, 'achieved_sparsity', 'layer')} of their "
                "weights.",
                ("layers",),
            )
        )
    return drawings


def _overlaps(overlap: "pd.DataFrame") -> list[Drawing]:
    drawings = []
    for sparsity, part in overlap.groupby("sparsity"):
        masks = list(dict.fromkeys([*part["mask"], *part["other"]]))
        jaccard = np.eye(len(masks))
        for one, other, value in zip(
            part["mask"], part["other"], part["jaccard"], strict=True
        ):
            place = masks.index(one), masks.index(other)
            jaccard[place] = jaccard[place[::-1]] = value
        height = 1.1 + 0.22 * len(masks)
        figure = Figure(figsize=(_WIDTH_IN, height))
        plots.overlap_map(figure.add_subplot(), masks, jaccard)
        chance = part["by_chance"].median()
        both = part.assign(both=part["mask"] + " and " + part["other"])
        drawings.append(
            Drawing(
                f"overlap_{sparsity:g}",
                figure,
                f"Overlap of the masks at sparsity {sparsity:g}",
                "Jaccard index of the weights that two masks drop: shared ones over "
                "those that either drops. Masks that drop as many at random have "
                f"{chance:.2f}.",
                f"Jaccard index of two masks: {extremes(both, 'jaccard', 'both')}.",
                ("overlap",),
            )
        )
    return drawings


def _faces(faces: Mapping[str, Sequence[MissedFace]]) -> Drawing:
    return Drawing(
        "worst_faces",
        plots.worst_faces(Figure(figsize=(_WIDTH_IN, 2)), faces),
        "Faces that the first order predicts worst",
        "The images with the largest relative residual of each mask, at the sparsity "
        "at which its mean drift is nearest to that of the reference: at equal "
        "sparsity, a mask that moves embeddings farther would look worse for that "
        "alone. Clean images only, where severities are known.",
        "Face images with relative residual and drift, a line for each mask.",
        ("worst",),
        tiles=missed_tiles(faces),
    )


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part) if part.isdigit() else -1, part) for part in parts]
