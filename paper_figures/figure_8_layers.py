"""Which layers lose their weights at each sparsity of the whole network."""

from matplotlib.figure import Figure

from paper_figures.sweeps import of_each_sweep


def _narrow(figure: Figure) -> None:
    """Stand the sparsities upright, where they would overlap, and shorten labels."""
    ax = figure.axes[0]
    count = len(ax.get_xticks())
    if count > 4:
        ax.tick_params(axis="x", labelrotation=90)
    for text in ax.texts if count > 6 else []:
        text.set_visible(False)  # two digits would run into their neighbours
    ax.set(xlabel="sparsity", ylabel="layer, its share of the weights")


ITEM = of_each_sweep("figure_8_layers", "layer_sparsity", _narrow)
