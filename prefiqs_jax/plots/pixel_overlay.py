"""Map of a face's pixels, laid over the face."""

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes

_OPAQUE = 0.85
"""Of the largest value; 0 of the smallest, so that the face is seen there."""


def pixel_overlay(
    ax: Axes,
    rgb_image: UInt8[np.ndarray, "height width channels"],
    values: Float[np.ndarray, "height width"],
    *,
    label: str = "gradient of first-order drift by pixel",
) -> Axes:
    """Show how much the first-order drift of a face depends on each of its pixels.

    Parameters
    ----------
    ax
        Axes to draw on; loses its ticks and frame.
    rgb_image
        The face, shape (height, width, 3); drawn in grey.
    values
        From :func:`prefiqs_jax.sensitivity.pixel_map`, shape (height, width). Drawn in
        proportion, and the more opaque the further from zero; the largest thousandth
        has one colour. What has a sign is drawn in two hues.
    label
        Quantity and unit, for the colour bar.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes, with a colour bar.
    """
    most = float(np.quantile(np.abs(values), 0.999)) or 1.0
    signed = bool((values < 0).any())
    grey = rgb_image @ np.array([0.299, 0.587, 0.114])  # luma, ITU-R BT.601
    ax.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation="lanczos")
    shown = ax.imshow(
        values,
        cmap="PuOr_r" if signed else "inferno",
        vmin=-most if signed else 0,
        vmax=most,
        alpha=_OPAQUE * np.clip(np.abs(values) / most, 0, 1),
        interpolation="nearest",
    )
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    extend = "both" if signed else "max"
    bar = ax.figure.colorbar(shown, ax=ax, label=label, extend=extend, pad=0.02)
    bar.ax.ticklabel_format(scilimits=(-2, 3))
    return ax
