"""Whether a score looks reversed: against something that is known to be a quality."""

import math

import numpy as np
from numpy.typing import ArrayLike

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.scores import Direction
from prefiqs_jax.statistics import spearman

LEAST_CORRELATION = -0.1
"""A rank correlation above that is too weak to speak of a direction."""
LEAST_DEVIATIONS = 3.0
"""Standard deviations of the rank correlation of unrelated scores, 1 / √(n - 1)."""


def check_direction(
    values: ArrayLike,
    reference: ArrayLike,
    *,
    name: str,
    reference_name: str = "the reference quality",
    direction: Direction = "higher",
) -> str | None:
    """Warn of a quality that falls where another one rises.

    suspected if ρ < -0.1 and ρ √(n - 1) < -3, with Spearman's ρ over n images

    Parameters
    ----------
    values
        Shape (images,): the quality in question, as it will be used.
    reference
        Shape (images,): one that is surely higher for the better images, such as minus
        the known severity, or another score.
    name
        Of the quality, for the warning.
    reference_name
        Of the reference, for the warning.
    direction
        What was declared of the score of which ``values`` are made.

    Returns
    -------
    str or None
        One line with the rank correlation and the cure; None if there is no suspicion,
        or if one of them is constant.

    Raises
    ------
    InputError
        If the two have different shapes, or a value is not finite.

    References
    ----------
    Kendall & Gibbons (1990). Rank Correlation Methods, 5th edition, chapter 4: the
    variance of ρ between unrelated rankings is 1 / (n - 1).

    Examples
    --------
    >>> drift = np.linspace(0, 1, 50)
    >>> check_direction(-drift, 1 - drift**2, name="mine") is None
    True
    >>> print(check_direction(drift, 1 - drift**2, name="mine"))
    mine looks reversed: its rank correlation with the reference quality is -1.00 over \
50 images; if lower scores are the better ones, declare --direction mine=lower
    """
    one, other = (np.asarray(each, np.float64) for each in (values, reference))
    if one.ndim != 1 or one.shape != other.shape:
        message = (
            f"{name} has shape {one.shape}, {reference_name} {other.shape}; give a "
            "value of each for every image"
        )
        raise InputError(message)
    for each, called in ((one, name), (other, reference_name)):
        if not np.isfinite(each).all():
            row = int(np.argmin(np.isfinite(each)))
            message = f"{called} of image {row} is {each[row]}; leave the image out"
            raise InputError(message)
    if len(one) < 2:
        return None
    correlation = float(spearman(one, other, np.ones((1, len(one))))[0])
    # A comparison with NaN, of a constant, is false.
    if not (
        correlation < LEAST_CORRELATION
        and correlation * math.sqrt(len(one) - 1) < -LEAST_DEVIATIONS
    ):
        return None
    other_direction = "lower" if direction == "higher" else "higher"
    return (
        f"{name} looks reversed: its rank correlation with {reference_name} is "
        f"{correlation:.2f} over {len(one):,} images; if {other_direction} scores are "
        f"the better ones, declare --direction {name}={other_direction}"
    )
