import numpy as np
import pytest

from prefiqs_jax.masks.blocks import in_blocks
from prefiqs_jax.masks.selection import SORTED_WHOLE, cuts_at


@pytest.mark.parametrize("size", [9, SORTED_WHOLE, SORTED_WHOLE + 1, 3 * SORTED_WHOLE])
@pytest.mark.parametrize("decimals", [1, 9])
def test_cuts_lie_where_a_sort_puts_them(size, decimals):
    rng = np.random.default_rng(size)
    values = rng.standard_normal(size).round(decimals)
    counts = [1, 2, size // 3, size // 2, size - 1, size]
    for cut, count in zip(cuts_at(in_blocks([values]), counts), counts, strict=True):
        assert cut.threshold == np.sort(values)[count - 1]
        assert cut.tied == (values == cut.threshold).sum()
        assert cut.goes == count - (values < cut.threshold).sum()


def test_little_is_sorted(monkeypatch):
    """Neither a rank far from the cuts nor a value held by many is sorted."""
    rng = np.random.default_rng(0)
    values = np.maximum(rng.standard_normal(40 * SORTED_WHOLE), 0)
    lengths = []
    sort = np.sort
    monkeypatch.setattr(np, "sort", lambda a: lengths.append(a.size) or sort(a))
    zeros = int((values == 0).sum())
    cuts = cuts_at(in_blocks([values]), [zeros - 5, zeros, zeros + 5, len(values) - 9])
    assert [cut.goes for cut in cuts] == [zeros - 5, zeros, 1, 1]
    assert lengths
    assert sum(lengths) < 0.05 * values.size
