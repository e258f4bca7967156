"""Figures of the layers' contributions and of the pixels' gradients."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from prefiqs_jax import plots
from prefiqs_jax.statistics import share_table

LAYERS = ("stem/kernel", "body/kernel", "fc/kernel")
SHARES = {"a.png": (0.5, 0.75, -0.25), "b.png": (0.2, 0.3, 0.5), "c.png": (1, 0, 0)}
DRIFT = {"a.png": 0.3, "b.png": 0.1, "c.png": 0.2}


@pytest.fixture
def contributions():
    lines = [
        (image, sparsity, layer, share * DRIFT[image] * sparsity)
        for sparsity in (0.5, 1.0)
        for image, shares in SHARES.items()
        for layer, share in zip(LAYERS, shares, strict=True)
    ]
    return pd.DataFrame(
        lines, columns=pd.Index(["image", "sparsity", "layer", "contribution"])
    )


def test_map_has_depth_down_and_drift_across(contributions):
    ax = Figure().add_subplot()
    assert plots.contribution_map(ax, contributions, sparsity=0.5) is ax
    drawn = np.asarray(ax.images[0].get_array())
    expected = np.array([SHARES[name] for name in ("b.png", "c.png", "a.png")]).T
    np.testing.assert_allclose(drawn, expected, atol=1e-12)
    assert [text.get_text() for text in ax.get_yticklabels()] == list(LAYERS)
    assert ax.images[0].get_clim() == (-1, 1)


def test_map_sets_groups_side_by_side(contributions):
    ax = Figure().add_subplot()
    groups = {"a.png": "clean", "b.png": "degraded", "c.png": "clean"}
    plots.contribution_map(ax, contributions, sparsity=1.0, groups=groups)
    drawn = np.asarray(ax.images[0].get_array())
    expected = np.array([SHARES[name] for name in ("c.png", "a.png", "b.png")]).T
    np.testing.assert_allclose(drawn, expected, atol=1e-12)
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels == ["clean\nn = 2", "degraded\nn = 1"]
    assert list(np.asarray(ax.lines[0].get_xdata())) == [1.5, 1.5]


def test_image_without_drift_is_blank(contributions):
    contributions.loc[contributions["image"] == "b.png", "contribution"] = 0.0
    ax = Figure().add_subplot()
    plots.contribution_map(ax, contributions, sparsity=0.5)
    blank = np.ma.getmaskarray(np.ma.asarray(ax.images[0].get_array())).all(axis=0)
    assert blank.tolist() == [True, False, False]


def test_profile_has_medians_and_shares_of_weights(contributions):
    ax = Figure().add_subplot()
    pruned = {"stem/kernel": 10, "body/kernel": 30, "fc/kernel": 60}
    shares = share_table(contributions, sparsities=[0.5])
    plots.contribution_profile(ax, shares, pruned=pruned)
    widths = [bar.get_width() for bar in ax.patches]  # pyright: ignore
    np.testing.assert_allclose(widths, [0.1, 0.3, 0.6])
    np.testing.assert_allclose(np.asarray(ax.lines[0].get_xdata()), [0.5, 0.3, 0.0])
    assert ax.get_ylim() == (2.5, -0.5)  # the first layer on top


def test_overlay():
    face = np.full((4, 4, 3), 100, np.uint8)
    values = np.linspace(0, 1, 16).reshape(4, 4)
    ax = Figure().add_subplot()
    assert plots.pixel_overlay(ax, face, values) is ax
    grey, over = ax.images
    np.testing.assert_allclose(np.asarray(grey.get_array()), 100)
    np.testing.assert_array_equal(np.asarray(over.get_array()), values)
    alpha = np.asarray(over.get_alpha())
    assert alpha[0, 0] == 0
    assert (np.diff(alpha.ravel()) >= 0).all()
    signed = Figure().add_subplot()
    plots.pixel_overlay(signed, face, values - 0.5)
    low, high = signed.images[1].get_clim()
    assert low == -high < 0
