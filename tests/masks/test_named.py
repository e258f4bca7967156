import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import Context, globally, magnitude, mask_named, mask_names
from prefiqs_jax.trees import prunable_matching

PARAMS = {"a": np.arange(1.0, 7).reshape(2, 3), "b": np.arange(6.0).reshape(3, 2)}


CONTEXT = Context(
    lambda p, x: x @ p["a"] @ p["b"],
    np.ones((2, 2)) + np.eye(2),
    earlier={k: v + 1 for k, v in PARAMS.items()},
)


@pytest.mark.slow
def test_every_listed_mask_exists():
    assert set(mask_names()) >= {
        "global/magnitude",
        "layerwise/magnitude",
        "global/random",
        "layerwise/random",
    }
    for name in mask_names():
        found = mask_named(name)
        assert found.name == name
        if not name.startswith(("uniform+", "2:4", "1:4", "4:8")):
            bound = found.bind(CONTEXT)
            assert bound.mask_fn(PARAMS, 0.5)["a"].dtype == bool


def test_name_means_what_it_says():
    ours = mask_named("global/magnitude").mask_fn(PARAMS, 0.4)
    same = globally(magnitude)(PARAMS, 0.4)
    assert all(np.array_equal(ours[k], same[k]) for k in PARAMS)
    one, two = (
        mask_named("global/random", seed=s).mask_fn(PARAMS, 0.5) for s in (1, 2)
    )
    assert any(not np.array_equal(one[k], two[k]) for k in PARAMS)


def test_prunable_is_passed_on():
    mask = mask_named("global/magnitude", prunable=prunable_matching("^b$"))
    keep = mask.mask_fn(PARAMS, 0.5)
    assert keep["a"].all()
    assert keep["b"].sum() == 3


def test_unknown_names_the_known():
    with pytest.raises(InputError, match=r"did you mean global/magnitude\?.*layerwise"):
        mask_named("global/magnitud")


def test_own_score_and_own_mask(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "import numpy as np\n"
        "def largest_first(name, w):\n    return -np.abs(w)\n"
        "def keep_all(params, sparsity):\n"
        "    return {k: np.ones(v.shape, bool) for k, v in params.items()}\n"
    )
    found = mask_named(f"layerwise/{file}:largest_first")
    assert found.mask_fn(PARAMS, 0.5)["a"].tolist() == [[True] * 3, [False] * 3]
    assert found.source_sha256 is not None
    assert mask_named(f"{file}:keep_all").mask_fn(PARAMS, 0.5)["b"].all()
    for name, words in {
        f"layerwise/{file}:nothing": "has no function nothing",
        f"layerwise/{tmp_path}/no.py:f": "does not exist",
        f"layerwise/{file}": "say which function",
    }.items():
        with pytest.raises(InputError, match=words):
            mask_named(name)
    file.write_text("def (")
    with pytest.raises(InputError, match="cannot be imported"):
        mask_named(f"{file}:keep_all")
