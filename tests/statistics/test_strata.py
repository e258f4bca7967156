"""Statistics within strata: which rows are in which, and what that shows."""

import numpy as np
import pandas as pd
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics import summarise, within_strata


def _mixed(images=120):
    """Make two kinds of images, within which the first order says nothing."""
    rng = np.random.default_rng(0)
    bad = np.arange(images) % 2 == 0
    level = np.where(bad, 0.8, 0.1)
    noise = 1 + 0.1 * rng.standard_normal((2, images))
    return pd.DataFrame(
        {
            "backbone": "toy",
            "mask": "global/magnitude",
            "image": [f"{i}.png" for i in range(images)],
            "identity": [f"person {i // 6}" for i in range(images)],
            "sparsity": 0.4,
            "first_order": level * noise[0],
            "drift": level * noise[1],
            "residual": 0.1 * level,
            "cosine": 0.9,
            "severity": np.where(bad, rng.uniform(0.01, 1, images), 0.0),
            "age": np.arange(images) * 0.5,
        }
    )


def _spearman(table):
    chosen = table[table.statistic == "spearman"]
    return dict(zip(chosen.get("stratum", ["pooled"]), chosen["value"], strict=True))


def test_a_mixture_flatters_what_strata_do_not():
    rows = _mixed()
    assert _spearman(summarise(rows))["pooled"] > 0.7
    within = _spearman(within_strata(rows, ["severity"]))
    assert list(within) == ["0", "to 1/3", "1/3 to 2/3", "above 2/3"]
    assert abs(within["0"]) < 0.3


def test_each_stratum_is_the_summary_of_its_rows():
    rows = _mixed()
    table = within_strata(rows, ["severity"])
    assert set(table.strata) == {"severity"}
    chosen = table.loc[table.stratum == "1/3 to 2/3"].reset_index(drop=True)
    alone = summarise(rows.loc[(rows.severity > 1 / 3) & (rows.severity <= 2 / 3)])
    pd.testing.assert_frame_equal(chosen[alone.columns], alone)


def test_numbers_are_cut_at_their_quartiles_and_words_are_not():
    rows = _mixed().assign(glasses=lambda r: np.where(r.index < 30, "yes", "no"))
    rows.loc[5, "glasses"] = None
    table = within_strata(rows, ["age", "glasses"])
    counts = table[table.statistic == "slope"].groupby("strata", sort=False)
    images = {name: list(part.images) for name, part in counts}
    assert images == {"age": [30, 30, 30, 30], "glasses": [90, 29, 1]}
    assert list(table.stratum[table.strata == "glasses"].unique()) == [
        "no",
        "yes",
        "unknown",
    ]


def test_quarters_of_drift_are_cut_at_each_sparsity():
    rows = _mixed()
    twice = pd.concat([rows, rows.assign(sparsity=0.1, drift=2 - rows.drift)])
    table = within_strata(twice, ["drift-quartile"])
    assert set(table.images) == {30}
    least = table[table.stratum == "1 (least drift)"]
    assert set(least.sparsity) == {0.1, 0.4}
    drifts = rows.drift.sort_values().iloc[:30]
    chosen = least.loc[(least.sparsity == 0.4) & (least.statistic == "slope"), "value"]
    kept = rows.loc[drifts.index]
    want = (kept.first_order * kept.drift).sum() / (kept.first_order**2).sum()
    assert chosen.item() == pytest.approx(want)


@pytest.mark.parametrize(
    "values",
    [
        [20240101, 20240102, 20240103, 20240104],
        [1000001, 1000002, 1000003],
        [10**17 + 1, 10**17 + 2, 10**17 + 3],
        [0.3, 0.1 + 0.2, 1e300],
        [1.7e9 + place for place in range(40)],
        [*range(20), np.inf],
        [-np.inf, *np.linspace(0, 1, 20)],
        [20240101 + place for place in range(9)],
        ["a", "b", None],
    ],
)
def test_every_row_is_in_one_stratum_of_a_name_of_its_own(values):
    rows = _mixed()
    rows["column"] = [values[place % len(values)] for place in range(len(rows))]
    table = within_strata(rows, ["column"])
    lines = table.loc[table.statistic == "slope"]
    assert lines["images"].sum() == len(rows)
    assert lines["stratum"].is_unique
    assert not lines["stratum"].str.contains("nan").any()
    assert len(lines) == min(len(values), 4)


def test_a_column_that_is_no_stratum_is_named():
    with pytest.raises(InputError, match="no column pose to stratify by; there are: b"):
        within_strata(_mixed(), ["pose"])
    with pytest.raises(InputError, match="every image has a image of its own"):
        within_strata(_mixed(), ["image"])
    assert len(within_strata(_mixed(), [])) == 0
