"""The sentences of a comparison, from tables made by hand."""

import numpy as np
import pandas as pd

from prefiqs_jax.comparison.finding import finding


def ranked(ratio, low, high, differs):
    nan = float("nan")
    return pd.DataFrame(
        {
            "mask": ["one", "other"],
            "is_reference": [True, False],
            "residual_ratio": [1.0, ratio],
            "residual_ratio_low": [1.0, low],
            "residual_ratio_high": [1.0, high],
            "lowest_drift": [nan, 0.1],
            "highest_drift": [nan, 0.3],
            "differs": [False, differs],
        }
    )


def masks(*drifts):
    return pd.DataFrame(
        {"mask": ["one", "other"], "sparsity": 0.5, "mean_drift": drifts}
    )


EMPTY = pd.DataFrame(columns=["mask", "sparsity", "severity", "auroc", "low", "high"])


def test_a_mask_that_is_predicted_better():
    told = finding(masks(0.1, 0.7), ranked(0.5, 0.4, 0.6, True), EMPTY)
    assert told == [
        "At equal mean drift (0.1 to 0.3) other is predicted best: its relative "
        "residual is 0.50 [0.40, 0.60] times that of one. Of 1 other mask with a mean "
        "drift in common, 1 significantly better than one, none worse, adjusted for "
        "all of them together.",
        "At sparsity 0.5 the mean drifts of the masks differ 7.0-fold, so that a "
        "comparison at equal sparsity confounds the mask with how far it moves "
        "embeddings.",
    ]


def test_none_is_better():
    told = finding(masks(0.1, 2.0), ranked(1.5, 1.2, 1.9, True), EMPTY)
    assert "no mask is predicted better than one; other is nearest" in told[0]
    assert "none significantly better than one, 1 worse" in told[0]
    assert "differ 20-fold" in told[1]


def test_nothing_in_common():
    told = finding(masks(np.nan, 2.0), ranked(np.nan, np.nan, np.nan, False), EMPTY)
    assert told == ["No mask has a mean drift in common with one."]


def test_the_best_separation():
    table = pd.DataFrame(
        {
            "mask": ["one", "other"],
            "sparsity": 0.5,
            "severity": "all",
            "auroc": [0.6, 0.8],
            "low": [0.5, np.nan],
            "high": [0.7, np.nan],
        }
    )
    told = finding(masks(0.1, 0.1), ranked(1.0, 0.9, 1.1, False), table)
    assert told[-1] == (
        "The drift of other at sparsity 0.5 tells degraded images from clean ones "
        "best: AUROC 0.800, the largest of 2, which flatters it."
    )
