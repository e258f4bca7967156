"""Kendall's tau without each group, against SciPy on what is left."""

import numpy as np
import pytest
from scipy import stats

from prefiqs_jax.statistics.kendall_without import kendall_without


@pytest.mark.parametrize("levels", [2, 5, 1000])
@pytest.mark.parametrize("groups", [3, 40])
def test_it_is_tau_b_of_what_is_left(levels, groups):
    rng = np.random.default_rng(levels + groups)
    x = rng.integers(0, levels, 60) / 7
    y = np.where(rng.random(60) < 0.4, x, rng.integers(0, levels, 60) - 3.5)
    own = np.concatenate([np.arange(groups), rng.integers(0, groups, 60 - groups)])
    found = kendall_without(x, y, own)
    for group in range(groups):
        kept = own != group
        wanted = stats.kendalltau(x[kept], y[kept])[0]
        assert found[group] == pytest.approx(wanted, abs=1e-14)


def test_what_is_constant_has_no_tau():
    x = np.array([1.0, 1.0, 1.0, 2.0])
    found = kendall_without(x, np.arange(4.0), np.array([0, 0, 1, 2]))
    assert np.isnan(found).tolist() == [False, False, True]
    assert np.isnan(kendall_without(np.arange(2.0), np.arange(2.0), np.arange(2))).all()
