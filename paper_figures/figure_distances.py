"""Drift, first order and residual beside each other: their spread over the images."""

from paper_figures.sweeps import of_each_sweep

ITEM = of_each_sweep("figure_distances", "drift_beside_first_order")
