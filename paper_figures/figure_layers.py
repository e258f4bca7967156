"""Which layers lose their weights at each sparsity of the whole network."""

from matplotlib.figure import Figure

from paper_figures.sweeps import of_each_sweep


def _narrow(figure: Figure) -> None:
    """Stand the sparsities upright, where they would overlap, and shorten labels."""
    ax = figure.axes[0]
    if len(ax.get_xticks()) > 5:
        ax.tick_params(axis="x", labelrotation=90)
    ax.set(xlabel="sparsity", ylabel="layer, its share of the weights")


ITEM = of_each_sweep("figure_layers", "layer_sparsity", _narrow)
