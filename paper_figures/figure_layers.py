"""Which layers lose their weights at each sparsity of the whole network."""

from paper_figures.sweeps import of_each_sweep

ITEM = of_each_sweep("figure_layers", "layer_sparsity")
