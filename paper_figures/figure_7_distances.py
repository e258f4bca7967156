"""Drift, first order and residual beside each other: their spread over the images."""

from matplotlib.figure import Figure

from paper_figures.record import PAGE_IN
from paper_figures.sweeps import of_each_sweep


def _low(figure: Figure) -> None:
    figure.set_figheight(2.6)


ITEM = of_each_sweep("figure_7_distances", "drift_beside_first_order", _low, PAGE_IN)
