"""What every mask keeps to: a new mask adds one line to MASKS and inherits all."""

import itertools

import jax
import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import (
    achieved_sparsity,
    apply_mask,
    globally,
    layerwise,
    magnitude,
    pruning_delta,
    random,
)
from prefiqs_jax.trees import is_prunable, named_leaves, weight_count


def filter_norm(name, w):
    return np.sqrt((np.asarray(w) ** 2).sum(tuple(range(w.ndim - 1)), keepdims=True))


MASKS = [
    pytest.param(globally(magnitude), True, id="global/magnitude"),
    pytest.param(layerwise(magnitude), True, id="layerwise/magnitude"),
    pytest.param(globally(random(3)), True, id="global/random"),
    pytest.param(layerwise(random(3)), True, id="layerwise/random"),
    pytest.param(globally(filter_norm), False, id="global/filter_norm"),
    pytest.param(layerwise(filter_norm), False, id="layerwise/filter_norm"),
]
SPARSITIES = [0.0, 0.05, 0.1, 0.3, 0.5, 0.77, 0.999]

every_mask = pytest.mark.parametrize(("mask_fn", "per_weight"), MASKS)


@every_mask
def test_form(toy, mask_fn, per_weight):
    _, params, _ = toy
    mask = mask_fn(params, 0.4)
    assert jax.tree.structure(mask) == jax.tree.structure(params)
    for (name, w), (_, keep) in zip(
        named_leaves(params), named_leaves(mask), strict=True
    ):
        assert keep.shape == w.shape
        assert keep.dtype == bool
        if not is_prunable(name, w):
            assert keep.all()


@every_mask
def test_counts(toy, mask_fn, per_weight):
    _, params, _ = toy
    total = weight_count(params)
    for sparsity in SPARSITIES:
        achieved, layers = achieved_sparsity(params, mask_fn(params, sparsity))
        if per_weight and mask_fn.allocation == "global":
            assert round(achieved * total) == round(sparsity * total)
        elif per_weight:
            for name, w in named_leaves(params):
                if is_prunable(name, w):
                    assert round(layers[name] * w.size) == round(sparsity * w.size)
        else:
            assert abs(achieved - sparsity) < 0.15


@every_mask
def test_nested(toy, mask_fn, per_weight):
    _, params, _ = toy
    masks = list(mask_fn.sweep(params, SPARSITIES))
    for sparser, sparsity in zip(masks, SPARSITIES, strict=True):
        alone = mask_fn(params, sparsity)
        assert all(map(np.array_equal, *map(jax.tree.leaves, (sparser, alone))))
    for fuller, sparser in itertools.pairwise(masks):
        for more, less in zip(*map(jax.tree.leaves, (fuller, sparser)), strict=True):
            assert (less <= more).all()


@every_mask
def test_extremes(toy, mask_fn, per_weight):
    _, params, _ = toy
    assert all(keep.all() for keep in jax.tree.leaves(mask_fn(params, 0.0)))
    for sparsity in (1.0, -0.1, float("nan")):
        with pytest.raises(InputError, match=r"outside \[0, 1\)"):
            mask_fn(params, sparsity)


@every_mask
def test_delta_gives_the_pruned_network(toy, mask_fn, per_weight):
    _, params, _ = toy
    mask = mask_fn(params, 0.4)
    moved = jax.tree.map(lambda w, d: w + d, params, pruning_delta(params, mask))
    for ours, pruned in zip(
        *map(jax.tree.leaves, (apply_mask(params, mask), moved)), strict=True
    ):
        assert np.array_equal(ours, pruned)
        assert ours.dtype == pruned.dtype


@every_mask
def test_ties(mask_fn, per_weight):
    params = {"a": np.ones((4, 5)), "b": np.ones((3, 4)), "c": np.ones(7)}
    achieved, _ = achieved_sparsity(params, mask_fn(params, 0.25))
    assert achieved == pytest.approx(0.25, abs=0 if per_weight else 0.13)


def test_ties_go_by_index():
    mask = globally(magnitude)({"a": np.ones((1, 3)), "b": np.ones((1, 3))}, 0.5)
    assert mask["a"].tolist() == [[False] * 3]
    assert mask["b"].tolist() == [[True] * 3]


def test_whole_filters_go(toy):
    _, params, _ = toy
    mask = layerwise(filter_norm)(params, 0.5)["conv1"]["kernel"]
    gone = ~mask.any(axis=(0, 1, 2))
    assert gone.sum() == 4
    assert mask.all(axis=(0, 1, 2)).sum() == 4


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (lambda n, w: np.full(w.shape, np.nan), "NaN"),
        (lambda n, w: np.ones(3), "do not broadcast"),
        (lambda n, w: 1.0, "do not broadcast"),
    ],
)
def test_bad_scores(score, words):
    with pytest.raises(InputError, match=words):
        layerwise(score)({"fc": np.ones((4, 2))}, 0.5)


def test_nothing_prunable():
    with pytest.raises(InputError, match="nothing to prune"):
        globally(magnitude)({"bias": np.ones(3)}, 0.5)


def test_masks_that_do_not_fit():
    params = {"w": np.ones((2, 2))}
    with pytest.raises(InputError, match="structure"):
        pruning_delta(params, {"v": np.ones((2, 2), bool)})
    with pytest.raises(InputError, match="w: mask is float64"):
        pruning_delta(params, {"w": np.ones((2, 2))})


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.5, 0.77, 0.9])
def test_counts_of_torch(toy, sparsity):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    _, params, _ = toy
    weights = [np.asarray(w) for n, w in named_leaves(params) if is_prunable(n, w)]

    def module(w):
        layer = torch.nn.Module()
        layer.register_parameter("weight", torch.nn.Parameter(torch.tensor(w)))
        return layer

    modules = [module(w) for w in weights]
    prune.global_unstructured(
        [(m, "weight") for m in modules], prune.L1Unstructured, amount=sparsity
    )
    ours = [
        keep
        for (n, w), keep in zip(
            named_leaves(params),
            jax.tree.leaves(globally(magnitude)(params, sparsity)),
            strict=True,
        )
        if is_prunable(n, w)
    ]
    for m, keep in zip(modules, ours, strict=True):
        theirs = m.weight_mask.numpy().astype(bool) if sparsity else np.ones_like(keep)
        assert np.array_equal(theirs, keep)  # continuous weights: no ties
    for w, name in zip(
        weights, [n for n, w in named_leaves(params) if is_prunable(n, w)], strict=True
    ):
        m = module(w)
        prune.l1_unstructured(m, "weight", amount=sparsity)
        keep = layerwise(magnitude)({name: w}, sparsity)[name]
        assert np.array_equal(m.weight_mask.numpy().astype(bool), keep)
