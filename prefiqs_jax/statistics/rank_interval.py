"""Limits of a rank correlation of few images, as part of its interval."""

FEWEST_OUT_OF_ORDER = 5
"""Pairs of images in unlike order from which on their number is an estimate: fewer, and
a truth with next to none may have made them by chance (Poisson: 5 or more at a mean of
1.6 in one of 40 draws)."""


def with_rank_limits(
    ends: tuple[float, float], name: str, spearman: float, kendall: float, images: int
) -> tuple[float, float]:
    """Widen a rank correlation's jackknife interval towards the ±1 that it is near to.

    The outer end is ±1 where fewer than :data:`FEWEST_OUT_OF_ORDER` pairs of images are
    in unlike order (in like order, near -1). That of ``name`` "spearman" moves outwards
    by its bias, at most to ±1: ρ of n images tends to be nearer to 0 than that of very
    many, by 3 (ρ - τ) / (n - 2), which is more than 1 - ρ where ρ is near 1.

    References
    ----------
    Kendall & Gibbons (1990). Rank Correlation Methods, 5th edition, section 9.7: the
    mean of Spearman's ρ over samples is ((n - 2) ρ + 3 τ) / (n + 1), after Moran and
    Hoeffding, both of 1948.

    Examples
    --------
    >>> with_rank_limits((0.95, 0.999), "spearman", 0.99, 0.91, 14)
    (0.95, 1.0)
    >>> low, high = with_rank_limits((0.2, 0.7), "spearman", 0.5, 0.35, 47)
    >>> low, round(high, 3)
    (0.2, 0.71)
    """
    low, high = ends
    out_of_order = (1 - abs(kendall)) / 2 * images * (images - 1) / 2
    bias = 3 * (spearman - kendall) / (images - 2) if name == "spearman" else 0.0
    if out_of_order < FEWEST_OUT_OF_ORDER:
        bias = 2.0 if kendall > 0 else -2.0
    return max(-1.0, low + min(0.0, bias)), min(1.0, high + max(0.0, bias))
