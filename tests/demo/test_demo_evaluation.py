"""Errors and curves of a demo against counts made by hand."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from toy import toy_backbone

from prefiqs_jax import masks, sensitivity
from prefiqs_jax.demo.evaluation import (
    FIRST_ORDER,
    PREFIQS,
    RANDOM,
    SEVERITY,
    DemoEmbedder,
    curve_table,
    discard_curves,
    verify,
)
from prefiqs_jax.demo.summary import summary
from prefiqs_jax.fiqa import PROTOCOLS, all_pairs, edc, pair_quality


@pytest.fixture
def pictures():
    """Give 12 people, two clean and two bad images each; bad ones look alike."""
    who = np.repeat(np.arange(12), 4)
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(48)],
            "identity": [f"p{w}" for w in who],
            "degradation": ["clean", "clean", "jpeg", "jpeg"] * 12,
            "severity": [0.0, 0.0, 0.5, 1.0] * 12,
        }
    )


@pytest.fixture
def embeddings(pictures):
    rng = np.random.default_rng(1)
    person = np.repeat(rng.normal(size=(12, 16)), 4, axis=0)
    shared = rng.normal(size=16)
    noise = 0.1 * rng.normal(size=(48, 16))
    return person + 4 * pictures["severity"].to_numpy()[:, None] * shared + noise


@pytest.fixture
def rows(pictures):
    drift = 0.1 + pictures["severity"] / 2
    return pd.DataFrame({"quality": 1 - drift / 2, "first_order": drift**2})


def test_clean_pictures_are_told_apart_and_bad_ones_are_not(embeddings, pictures):
    table = verify(embeddings, pictures).set_index("pictures")
    assert table["images"].tolist() == [24, 48]
    assert table["mated"].tolist() == [12, 12 * 6]
    assert table.loc["clean", "eer"] == 0
    assert table.loc["all", "eer"] > 0.1
    # The same rates, counted anew.
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = unit @ unit.T
    upper = np.triu(np.ones((48, 48), bool), 1)
    who = pictures["identity"].to_numpy()
    same = who[:, None] == who[None]
    threshold = table.loc["all", "threshold"]
    missed = similarity[same & upper] < threshold
    assert table.loc["all", "fnmr"] == pytest.approx(missed.mean(), abs=1e-12)
    assert (similarity[~same & upper] >= threshold).mean() <= 0.01


def test_curves_are_those_of_the_protocol(embeddings, pictures, rows):
    bands = discard_curves(embeddings, pictures, rows, replicates=50, seed=0)
    assert list(bands) == [PREFIQS, FIRST_ORDER, SEVERITY, RANDOM]
    pairs = all_pairs(embeddings, pictures["identity"].to_numpy())
    quality = pair_quality(-pictures["severity"].to_numpy(), pairs)
    curve = edc(
        pairs.similarity, pairs.mated, quality, fmr=1e-2, protocol=PROTOCOLS["fiqat"]
    )
    for name in (PREFIQS, FIRST_ORDER, SEVERITY):  # one order, three scales
        place = np.searchsorted(
            curve.discard_fraction, bands[name].discard_fraction + 1e-12, "right"
        )
        np.testing.assert_allclose(
            bands[name].fnmr.value, curve.fnmr[place - 1], atol=1e-12
        )
    table = curve_table(bands)
    assert set(table["quality"]) == set(bands)
    assert len(table) == 4 * len(bands[PREFIQS].discard_fraction)


def test_embedder_agrees_with_the_plain_functions():
    backbone = toy_backbone()
    mask = masks.globally(masks.magnitude)(backbone.params, 0.4)
    delta = masks.pruning_delta(backbone.params, mask)
    # More than a batch, and no multiple of one.
    rng = np.random.default_rng(2)
    pictures = rng.integers(0, 256, (37, 8, 8, 3)).astype(np.uint8)
    pruned = masks.apply_mask(backbone.params, mask)
    embedder = DemoEmbedder(backbone, pruned, progress=False)
    images = jnp.asarray(backbone.preprocess(pictures))
    arguments = (backbone.apply_fn, backbone.params, delta, images)
    np.testing.assert_allclose(
        embedder.drift(pictures), sensitivity.drift(*arguments), rtol=1e-5, atol=1e-7
    )
    dense = sensitivity.embed(backbone.apply_fn, backbone.params, images)
    # A batch may go in slices: sums in another order, two units in the last place.
    np.testing.assert_allclose(embedder.dense(pictures), dense, rtol=1e-5, atol=3e-7)


def test_summary_says_what_the_tables_hold(embeddings, pictures, rows):
    bands = discard_curves(embeddings, pictures, rows, replicates=50, seed=0)
    verification = verify(embeddings, pictures)
    spearman = pd.DataFrame(
        {
            "statistic": "spearman",
            "sparsity": [0.1, 0.2, 0.3],
            "value": [0.99, 0.98, 0.97],
            "low": [0.9, 0.8, 0.7],
            "high": [1.0, 0.99, 0.98],
            "caution": "",
        }
    )
    residual = spearman.assign(
        statistic="median_relative_residual",
        value=[0.01, 0.02, 0.04],
        low=[0.009, 0.018, 0.037],
        high=[0.011, 0.022, 0.043],
    )
    statistics = pd.concat([spearman, residual], ignore_index=True)
    levels = pd.DataFrame(
        {
            "degradation": ["jpeg", "jpeg", "face_mask", "face_mask"],
            "rises": [True, True, True, False],
        }
    )
    lines = summary(
        network="toy",
        statistics=statistics,
        within_clean=spearman.assign(value=0.5),
        verification=verification,
        levels=levels,
        bands=bands,
    )
    text = "\n".join(lines)
    assert len(lines) == 9
    assert "48 images" in text
    assert "24 of them clean" in text
    assert "1.0 % [0.9, 1.1] at 0.1, 2.0 % [1.8, 2.2] at 0.2, 4.0 % [3.7, 4.3]" in text
    assert "0.990 [0.900, 1.000] at 0.1" in text
    assert "0.500 [0.700, 0.980] at 0.3" in text
    assert "1 of 2 degradations; not of face mask" in text
    eer = verification.set_index("pictures").loc["all", "eer"]
    assert f"{100 * eer:.1f} % on all" in text
