"""Filled markers say which qualities differ, and nothing where none can be told."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from prefiqs_jax import plots


def _table(fmr, tells, pauc=(0.02, 0.03, 0.05)):
    return pd.DataFrame(
        {
            "quality": ["mine", "norm", "random"],
            "fmr": fmr,
            "pauc": pauc,
            "low": np.nan if not tells else [0.01, 0.02, 0.04],
            "high": np.nan if not tells else [0.03, 0.04, 0.06],
            "is_reference": [True, False, False],
            "differs": [False, False, tells],
            "tells": tells,
        }
    )


def test_no_marker_is_filled_where_errors_are_too_few():
    table = pd.concat([_table(0.01, True), _table(0.001, False, 0.0)])
    figure = plots.pauc_intervals(Figure(figsize=(7, 3)), table)
    told, silent = figure.axes
    assert told.get_title() == "FMR 0.01"
    assert silent.get_title() == "FMR 0.001: cannot tell, too few errors"
    filled = {
        ax: [
            line.get_markerfacecolor() != "white"
            for line in ax.lines
            if line.get_marker() in ("o", "D")
        ]
        for ax in figure.axes
    }
    assert filled[told] == [True, False, True]
    assert filled[silent] == [False, False, False]
    assert silent.get_xlim()[0] > -0.1
