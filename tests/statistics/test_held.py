"""The share of images that are within a tolerance, and its interval."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from prefiqs_jax.errors import InputError
from prefiqs_jax.statistics import held_shares
from prefiqs_jax.statistics.quantile_interval import share_interval


def rows(relative, identities=None):
    count = len(relative)
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(count)],
            "identity": identities,
            "sparsity": 0.3,
            "achieved_sparsity": 0.3,
            "first_order": 0.5,
            "drift": 0.5,
            "residual": 0.5 * np.asarray(relative),
        }
    )


def test_independent_images_have_clopper_and_pearsons_interval():
    held = np.arange(200) < 30
    exact = stats.binomtest(30, 200).proportion_ci(method="exact")
    found = share_interval(held, np.arange(200))
    # The jackknife's variance of a share has n - 1, and Student's quantile.
    np.testing.assert_allclose(found, exact, rtol=0.02)


def test_images_of_one_person_are_not_so_many():
    held = np.repeat(np.arange(20) < 8, 10)
    low, high = share_interval(held, np.repeat(np.arange(20), 10))
    alone = share_interval(held[::10], np.arange(20))
    np.testing.assert_allclose((low, high), alone, rtol=0.1)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_or_none_leave_room_by_the_number_of_people(share):
    table = held_shares(rows(np.full(60, 0.2 * (1 - share)), np.arange(60) // 6))
    (line,) = table.to_dict("records")
    assert line["share"] == share
    assert (line["images"], line["clusters"]) == (60, 10)
    room = 1 - 0.025 ** (1 / 10)
    ends = (0.0, room) if share == 0 else (1 - room, 1.0)
    np.testing.assert_allclose((line["low"], line["high"]), ends)


def test_too_few_people_have_no_interval_and_rounding_does_not_count():
    few = rows([0.05, 0.2, 0.05, 0.2], ["a", "a", "b", "b"])
    (line,) = held_shares(few).to_dict("records")
    assert line["share"] == 0.5
    assert np.isnan([line["low"], line["high"]]).all()
    none = few.assign(first_order=1e-9, drift=1e-9, residual=1e-9)
    (line,) = held_shares(none).to_dict("records")
    assert line["images"] == 0
    assert np.isnan(line["share"])
    with pytest.raises(InputError, match="give one above 0"):
        held_shares(few, tolerance=0)
