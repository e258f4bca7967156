"""Overlap of masks against sets of indices, and lists of masks as text."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError, UnreachableSparsityError
from prefiqs_jax.masks import globally, layerwise, magnitude, masks_listed, n_m, random
from prefiqs_jax.masks.overlap import overlaps
from prefiqs_jax.masks.packed import join_masks, pack_deltas, pack_masks

SPARSITIES = [0.1, 0.25, 0.5, 0.7, 0.9]


def weights(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "conv": {"kernel": rng.standard_normal((3, 3, 4, 50)), "bias": np.ones(50)},
        "fc": {"kernel": rng.standard_normal((40, 30))},
    }


def dropped(mask):
    """Give the set of (leaf, index) that a mask drops."""
    leaves = {name: leaf["kernel"] for name, leaf in mask.items()}
    return {
        (name, index)
        for name, keep in leaves.items()
        for index in np.flatnonzero(~np.asarray(keep)).tolist()
    }


def test_against_sets():
    params = weights()
    rules = {
        "one": globally(magnitude),
        "two": layerwise(magnitude),
        "three": globally(random(seed=3)),
    }
    packed = [pack_masks(m, params, SPARSITIES, name=n) for n, m in rules.items()]
    found = overlaps(join_masks(packed))
    assert len(found) == 3 * len(SPARSITIES)
    for line in found:
        one, other = (
            dropped(rules[line[key]](params, line["sparsity"]))
            for key in ("mask", "other")
        )
        assert line["jaccard"] == pytest.approx(len(one & other) / len(one | other))
        s = line["sparsity"]
        assert line["by_chance"] == pytest.approx(s / (2 - s), abs=1e-3)


def test_random_masks_overlap_by_chance():
    params = {"fc": {"kernel": np.random.default_rng(0).standard_normal((400, 500))}}
    packed = [
        pack_masks(globally(random(seed=seed)), params, [0.3], name=str(seed))
        for seed in (1, 2)
    ]
    (line,) = overlaps(join_masks(packed))
    assert line["jaccard"] == pytest.approx(line["by_chance"], abs=5e-3)


def test_masks_that_drop_nothing_and_unlike_sparsities():
    params = weights()
    none = [
        pack_masks(globally(magnitude), params, [0.0, 0.3], name="one"),
        pack_masks(layerwise(magnitude), params, [0.0, 0.4], name="two"),
    ]
    (line,) = overlaps(join_masks(none))
    assert (line["sparsity"], line["jaccard"], line["by_chance"]) == (0, None, None)


def test_changes_that_are_no_masks_have_no_overlap():
    params = weights()
    halves = {"conv": {"kernel": params["conv"]["kernel"] / 2, "bias": np.zeros(50)}}
    halves["fc"] = {"kernel": np.zeros((40, 30))}
    assert overlaps(pack_deltas({"a": halves, "b": halves}, params)) == []
    assert overlaps(pack_masks(globally(magnitude), params, SPARSITIES)) == []


def test_a_list_of_masks():
    found = masks_listed(" global/magnitude , 2:4/magnitude@0.5,erk/random@0.3+0.1")
    assert [(mask.name, mask.sparsities) for mask in found] == [
        ("global/magnitude", None),
        ("2:4/magnitude", (0.5,)),
        ("erk/random", (0.1, 0.3)),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("global/magnitude,global/magnitud", "did you mean global/magnitude"),
        ("erk/snip,erk/snip", "erk/snip is given twice; give it once"),
        ("erk/snip@0.1,erk/snip@0.2", "with all its sparsities: erk/snip@0.3"),
        ("erk/snip@1.5", r"sparsity 1.5 is outside \[0, 1\)"),
        ("erk/snip@0.1+", "erk/snip@0.1.: give its own sparsities as MASK@0.3"),
    ],
)
def test_a_list_that_cannot_be_used(text, told):
    with pytest.raises(InputError, match=told):
        masks_listed(text)


def test_an_allocation_names_all_that_it_cannot_reach():
    params = {"fc": {"kernel": np.ones((4, 2)) * np.arange(8).reshape(4, 2)}}
    with pytest.raises(UnreachableSparsityError) as caught:
        n_m(2, 4)(magnitude).rank(params, [0.0, 0.3, 0.5, 0.7])
    assert caught.value.sparsities == (0.3, 0.7)
