"""Drift against first order, image by image: the paper's first-order claim, drawn."""

from matplotlib.figure import Figure

from paper_figures.sweeps import of_each_sweep


def _without_title(figure: Figure) -> None:
    figure.axes[0].set_title("", loc="left")  # the caption says it


ITEM = of_each_sweep("figure_4_drift", "drift_against_first_order", _without_title)
