"""What a comparison of masks found, in sentences made from its tables."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def finding(
    masks: "pd.DataFrame", ranked: "pd.DataFrame", separation: "pd.DataFrame"
) -> list[str]:
    """Say which mask is predicted best, how masks are confounded, which separates best.

    Parameters
    ----------
    masks, ranked, separation
        Tables of :class:`prefiqs_jax.statistics.MaskComparison`.
    """
    return [
        *_best(ranked),
        *_confounded(masks),
        *_separates(separation),
    ]


def _best(ranked: "pd.DataFrame") -> list[str]:
    known = ranked.loc[ranked["residual_ratio"].notna()]
    reference = ranked.loc[ranked["is_reference"], "mask"].iloc[0]
    others = known.loc[~known["is_reference"]]
    if not len(others):
        return [f"No mask has a mean drift in common with {reference}."]
    best = others.iloc[0]
    better = others.loc[others["differs"] & (others["residual_ratio"] < 1)]
    worse = others.loc[others["differs"] & (others["residual_ratio"] > 1)]
    interval = ""
    if np.isfinite(best["residual_ratio_low"]):
        ends = best["residual_ratio_low"], best["residual_ratio_high"]
        interval = f" [{ends[0]:.2f}, {ends[1]:.2f}]"
    who = f"{best['mask']} is predicted best"
    if best["residual_ratio"] >= 1:
        who = f"no mask is predicted better than {reference}; {best['mask']} is nearest"
    count = f"{len(others)} other mask{'s' if len(others) > 1 else ''}"
    drifts = f"{best['lowest_drift']:.2g} to {best['highest_drift']:.2g}"
    if best["lowest_drift"] == best["highest_drift"]:
        count = f"{len(others)} other mask{'s' if len(others) > 1 else ''}"
    drifts = f"{best['lowest_drift']:.2g}"
    return [
        f"At equal mean drift ({drifts}) {who}: its relative residual is "
        f"{best['residual_ratio']:.2f}{interval} times that of {reference}. Of {count} "
        f"with a mean drift in common, {len(better) or 'none'} "
        f"significantly better than {reference}, {len(worse) or 'none'} worse, "
        "adjusted for all of them together."
    ]


def _confounded(masks: "pd.DataFrame") -> list[str]:
    """Say how far mean drifts at one sparsity are apart."""
    moved = masks.loc[masks["mean_drift"] > 0]
    spans = {
        float(sparsity): part["mean_drift"].max() / part["mean_drift"].min()
        for sparsity, part in moved.groupby("sparsity")
        if len(part) > 1
    }
    if not spans:
        return []
    widest = max(spans, key=lambda sparsity: spans[sparsity])
    span = spans[widest]
    times = f"{span:.0f}" if span >= 10 else f"{span:.1f}"
    return [
        f"At sparsity {widest:g} the mean drifts of the masks differ "
        f"{times}-fold, so that a comparison at equal sparsity confounds the mask with "
        "how far it moves embeddings."
    ]


def _separates(separation: "pd.DataFrame") -> list[str]:
    every = separation.loc[separation["severity"] == "all"]
    every = every.loc[every["auroc"].notna()]
    if not len(every):
        return []
    best = every.loc[every["auroc"].idxmax()]
    interval = ""
    if np.isfinite(best["low"]):
        interval = f" [{best['low']:.3f}, {best['high']:.3f}]"
    return [
        f"The drift of {best['mask']} at sparsity {best['sparsity']:g} tells degraded "
        f"images from clean ones best: AUROC {best['auroc']:.3f}{interval}, the "
        f"largest of {len(every)}, which flatters it."
    ]
