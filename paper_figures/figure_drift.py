"""Drift against first order, image by image: the paper's first-order claim, drawn."""

from paper_figures.sweeps import of_each_sweep

ITEM = of_each_sweep("figure_drift", "drift_against_first_order")
