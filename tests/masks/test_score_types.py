"""What a score may be made of: any real numbers, infinities included, but no NaN."""

import ml_dtypes
import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, layerwise

FLOATS = [
    *("float16", "float32", "float64", "longdouble", "bfloat16"),
    *(
        "float8_e4m3fn",
        "float8_e5m2",
        "float8_e4m3b11fnuz",
        "float8_e4m3",
        "float8_e3m4",
    ),
]
INTEGERS = ["int4", "uint4", "int8", "uint8", "int32", "uint64"]
ALLOCATIONS = [globally, layerwise]
# Each is exact in every type above; the lowest four are at places 2, 5, 0, 6.
VALUES = np.array([[2.0, 5, 0], [6, 7, 1], [3, 4, 6]])
PARAMS = {"kernel": np.ones((3, 3), np.float32)}


def dtype_of(name):
    return np.dtype(getattr(ml_dtypes, name, name))


def kept(allocation, scores, sparsity=4 / 9):
    mask = allocation(lambda _name, _weights: scores)(PARAMS, sparsity)
    return np.asarray(mask["kernel"]).ravel()


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("name", FLOATS + INTEGERS)
def test_every_real_type_ranks_alike(allocation, name):
    keep = kept(allocation, VALUES.astype(dtype_of(name)))
    assert np.flatnonzero(~keep).tolist() == [0, 2, 5, 6]


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("name", FLOATS)
def test_nan_is_refused_in_every_float_type(allocation, name):
    scores = VALUES.astype(dtype_of(name))
    scores[1, 1] = np.nan
    with pytest.raises(InputError, match="kernel: the score is NaN"):
        kept(allocation, scores)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("name", ["float16", "float64", "bfloat16", "float8_e5m2"])
def test_infinities_are_scores(allocation, name):
    scores = VALUES.astype(dtype_of(name))
    scores[0, 2], scores[1, 1], scores[0, 0] = np.inf, -np.inf, np.inf
    keep = kept(allocation, scores)
    # -inf, then 1, 3, 4; what is infinite stays.
    assert np.flatnonzero(~keep).tolist() == [4, 5, 6, 7]


def test_types_may_differ_between_layers():
    params = {"a": np.ones((1, 3)), "b": np.ones((1, 3))}
    scores = {
        "a": np.array([[1, 4, 5]], ml_dtypes.bfloat16),
        "b": np.array([[2, 3, 6]], np.float16),
    }
    mask = globally(lambda name, _: scores[name])(params, 0.5)
    assert mask["a"].tolist() == [[False, True, True]]
    assert mask["b"].tolist() == [[False, False, True]]


def test_booleans_rank_false_first():
    keep = kept(globally, VALUES > 3, 3 / 9)
    assert np.flatnonzero(~keep).tolist() == [0, 2, 5]


@pytest.mark.parametrize(
    "scores",
    [
        VALUES.astype(complex),
        VALUES.astype(object),
        VALUES.astype(str),
        VALUES.astype("m8[s]"),
    ],
    ids=["complex", "object", "text", "time"],
)
@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_what_has_no_order_is_refused(allocation, scores):
    with pytest.raises(InputError, match=r"kernel: scores of type .*give real"):
        kept(allocation, scores)
