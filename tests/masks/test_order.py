import numpy as np
import pytest

from prefiqs_jax.masks.order import pruning_levels


@pytest.mark.parametrize("distinct", [1, 2, 5, 1000])
def test_levels_equal_a_stable_sort(distinct):
    rng = np.random.default_rng(distinct)
    scores = rng.integers(0, distinct, 300).astype(np.float32)
    counts = sorted(rng.integers(0, 301, 7).tolist())
    levels = pruning_levels(scores, counts)
    order = np.argsort(scores, kind="stable")
    for index, count in enumerate(counts):
        assert set(np.flatnonzero(levels <= index)) == set(order[:count])
    assert levels.dtype == np.uint8


def test_many_sparsities():
    levels = pruning_levels(np.arange(1000.0), list(range(0, 1000, 2)))
    assert levels.dtype == np.uint16
    assert (levels <= 10).sum() == 20


def test_infinite_scores_are_ordered():
    assert pruning_levels(np.array([np.inf, 1, -np.inf]), [1, 2]).tolist() == [2, 1, 0]
