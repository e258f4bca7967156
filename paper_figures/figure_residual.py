"""What the first order misses, over sparsity and over the change of the weights.

Where the paper's first-order theory holds; it says itself, for moderate sparsities.
"""

from paper_figures.sweeps import of_each_sweep

ITEM = of_each_sweep("figure_residual", "relative_residual")
