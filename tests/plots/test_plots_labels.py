"""What the panels of optimised labels hold."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from prefiqs_jax.errors import InputError
from prefiqs_jax.plots.label_optimisation import optimisation_panels


def test_panels():
    rows = [
        (score, labels, step, step * sign, step * sign - 0.1, step * sign + 0.1)
        for score in ("a", "b$", "c", "d")
        for sign, labels in ((1, "other"), (-1, "tested too"))
        for step in (0.01, 0.1)
    ]
    columns = ["score", "labels", "step", "difference", "low", "high"]
    table = pd.DataFrame(rows, columns=columns).assign(fmr=1e-3, max_discard=0.3)
    figure = optimisation_panels(Figure(), table)
    assert [ax.get_title() for ax in figure.axes] == ["a", r"b\$", "c", "d"]
    (zero, *drawn) = figure.axes[0].get_lines()
    assert np.asarray(zero.get_ydata()).tolist() == [0, 0]
    values = [line.get_ydata() for line in drawn if np.size(line.get_xdata()) == 2]
    assert any(np.allclose(value, [10, 100]) for value in values)
    assert any(np.allclose(value, [-10, -100]) for value in values)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["other", "tested too"]
    assert "FMR 0.001" in legend.get_title().get_text()


def test_an_empty_table_is_refused():
    with pytest.raises(InputError, match="no differences to draw"):
        optimisation_panels(Figure(), pd.DataFrame({"score": []}))
