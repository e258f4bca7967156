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


@pytest.mark.parametrize("kind", ["half zero", "two of eight", "continuous"])
def test_little_is_sorted(monkeypatch, kind):
    """Neither ranks far from the cuts nor a value that many hold are sorted."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal(40 * SORTED_WHOLE, np.float32)
    if kind == "half zero":
        values = np.maximum(values, 0)
    elif kind == "two of eight":
        values = rng.choice(8, values.size).astype(np.float32)
    ordered = np.sort(values)
    zeros = int((values <= 0).sum())
    counts = [zeros - 5, zeros, zeros + 5, values.size * 3 // 4]
    lengths = []
    sort = np.sort
    monkeypatch.setattr(np, "sort", lambda a: lengths.append(a.size) or sort(a))
    cuts = cuts_at(in_blocks([values]), counts)
    assert [cut.threshold for cut in cuts] == [ordered[count - 1] for count in counts]
    assert sum(lengths) < 0.05 * values.size
