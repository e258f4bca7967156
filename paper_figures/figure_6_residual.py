"""What the first order misses, over sparsity and over the change of the weights.

Where the paper's first-order theory holds; it says itself, for moderate sparsities.
"""

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from paper_figures.sweeps import of_each_sweep


def _few_ticks(figure: Figure) -> None:
    """Label powers of ten only, where the norms span one."""
    for ax in figure.axes[1:]:
        low, high = ax.get_xlim()
        if high > 10 * low:
            ax.xaxis.set_major_locator(LogLocator())


ITEM = of_each_sweep("figure_6_residual", "relative_residual", _few_ticks)
