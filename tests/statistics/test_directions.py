"""Medians and rank correlations of what a sweep measures of its directions."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prefiqs_jax.statistics import (
    median_interval,
    rank_correlations,
    relative_medians,
    summarise,
    validity_medians,
)

SPARSITIES = (0.2, 0.5)
PEOPLE = np.arange(24) % 8


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    frames = [
        pd.DataFrame(
            {
                "backbone": "toy",
                "mask": "m",
                "image": [f"{i:02d}" for i in range(24)],
                "identity": [f"p{i}" for i in PEOPLE],
                "sparsity": sparsity,
                "achieved_sparsity": sparsity,
                "first_order": rng.uniform(0.1, 0.2, 24),
                "drift": rng.uniform(0.1, 0.2, 24),
                "residual": rng.uniform(0.01, 0.02, 24),
                "cosine": 1.0,
                "slope": rng.uniform(1.4, 2.2, 24),
                "valid_t": np.r_[np.zeros(3), np.ones(5), rng.uniform(0.1, 0.9, 16)],
                "expected_drift": rng.uniform(0.1, 0.2, 24),
            }
        )
        for sparsity in SPARSITIES
    ]
    return pd.concat(frames, ignore_index=True)


def at(table, quantity, sparsity):
    chosen = (table["quantity"] == quantity) & (table["sparsity"] == sparsity)
    (line,) = table[chosen].to_dict("records")
    return line


def test_medians_over_another_column_and_over_none(rows):
    over = relative_medians(rows, ["first_order"], over="expected_drift")
    alone = relative_medians(rows, ["slope"], over=None)
    for sparsity in SPARSITIES:
        own = rows[rows["sparsity"] == sparsity]
        ratio = (own["first_order"] / own["expected_drift"]).to_numpy()
        for table, name, values in (
            (over, "first_order", ratio),
            (alone, "slope", own["slope"].to_numpy()),
        ):
            line = at(table, name, sparsity)
            assert line["value"] == np.median(values)
            ends = (line["low"], line["high"])
            assert ends == median_interval(values, PEOPLE)
            assert (line["images"], line["clusters"]) == (24, 8)


def test_what_is_not_finite_is_left_out_of_one_quantity_only(rows):
    rows.loc[rows.index[:20], "slope"] = np.inf
    table = relative_medians(rows, ["slope", "valid_t"], over=None)
    line = at(table, "slope", 0.2)
    assert (line["images"], line["clusters"]) == (4, 4)
    assert line["value"] == rows["slope"][20:24].median()
    rows.loc[rows.index[:22], "slope"] = np.nan
    line = at(relative_medians(rows, ["slope"], over=None), "slope", 0.2)
    assert np.isnan([line["low"], line["high"]]).all()  # two people
    assert at(table, "valid_t", 0.2)["images"] == 24


def test_ends_of_the_measured_steps_are_counted(rows):
    table = validity_medians(rows, smallest=1 / 16)
    for sparsity in SPARSITIES:
        line = at(table, "valid_t", sparsity)
        assert (line["at_zero"], line["at_one"], line["images"]) == (3, 5, 24)
        own = rows.loc[rows["sparsity"] == sparsity, "valid_t"]
        assert line["value"] == own.median()
        assert np.isnan(at(table, "slope", sparsity)["at_one"])


def test_slopes_and_steps_that_are_rounding_are_not_known(rows):
    # The first has a remainder of 1e-5 at t = 1/2, the second a change of that at 1/16.
    rows.loc[0, ["residual", "slope"]] = 4e-5, 2.0
    rows.loc[1, "first_order"] = 16e-5
    table = validity_medians(rows, smallest=1 / 16)
    slope, step = (at(table, name, 0.2) for name in ("slope", "valid_t"))
    assert (slope["images"], step["images"]) == (23, 23)
    assert slope["value"] == np.median(np.delete(rows["slope"][:24].to_numpy(), 0))
    assert (step["at_zero"], at(table, "valid_t", 0.5)["at_zero"]) == (2, 3)


def test_ranks_are_correlated_as_those_of_first_order_and_drift(rows):
    pairs = [("first_order", "drift"), ("expected_drift", "drift")]
    rows.loc[3, ["first_order", "drift"]] = 1e-6  # rounding
    table = rank_correlations(rows, pairs)
    summary = summarise(rows)
    summary = summary[summary["statistic"] == "spearman"].set_index("sparsity")
    for sparsity in SPARSITIES:
        own = rows[(rows["sparsity"] == sparsity) & (rows["drift"] > 1e-5)]
        for one, other in pairs:
            line = at(table, f"{one}, {other}", sparsity)
            wanted = stats.spearmanr(own[one], own[other])[0]
            assert line["value"] == pytest.approx(wanted)
            assert line["images"] == len(own)
        line = at(table, "first_order, drift", sparsity)
        wanted = summary.loc[sparsity, ["value", "low", "high"]]
        assert [line[name] for name in ("value", "low", "high")] == wanted.tolist()


def test_ranks_of_too_few_or_of_equal_images_are_not_defined(rows):
    table = rank_correlations(rows.iloc[[0, 1]], [("first_order", "drift")])
    assert np.isnan(table[["value", "low", "high"]].to_numpy(np.float64)).all()
    table = rank_correlations(rows.assign(slope=2.0), [("slope", "drift")])
    assert np.isnan(table["value"].to_numpy(np.float64)).all()
