"""What every mask keeps to: a new score or allocation inherits all, without a line."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from toy import toy_network

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import (
    ALLOCATIONS,
    SCORES,
    Context,
    achieved_sparsity,
    erk,
    filters,
    globally,
    layerwise,
    magnitude,
    per_output,
    pruning_delta,
    testing,
)
from prefiqs_jax.masks.allocation import context_use
from prefiqs_jax.masks.named import makes_sense
from prefiqs_jax.masks.testing import check_mask, check_score
from prefiqs_jax.trees import is_prunable, named_leaves


def filter_norm(name, w):
    return np.sqrt((np.asarray(w) ** 2).sum(tuple(range(w.ndim - 1)), keepdims=True))


QUICK_KEY = jax.random.key(0, impl="unsafe_rbg")
"""Signs by the default generator take as long to compile as the derivatives do."""

TOY = toy_network()
"""One for all: what scores ask of it is computed once."""


def all_masks():
    """Every allocation with every score that makes sense with it, and one of ours."""
    apply_fn, _, images = TOY
    context = Context(apply_fn, images, QUICK_KEY, earlier=toy_network(seed=1)[1])
    for allocation in ALLOCATIONS.values():
        if allocation.name in ("1:4", "4:8", "uniform+"):
            continue  # the same code as 2:4; no layer lies between the toy's ends
        for name in SCORES:
            if not makes_sense(allocation, name):
                continue
            mask = allocation(SCORES[name].make(3))
            # Derivatives are compiled once for all allocations, in every process.
            slow = mask.needs_data and name != "wanda"
            yield pytest.param(
                dataclasses.replace(mask, context=context),
                id=f"{allocation.name}/{name}",
                marks=[pytest.mark.slow] if slow else [],
            )
        if makes_sense(allocation, "l1"):
            yield pytest.param(allocation(filter_norm), id=f"{allocation.name}/own")


WHOLE = {"l1", "l2", "filter_norm"}
MASKS = list(all_masks())
SPARSITIES = [0.0, 0.05, 0.1, 0.3, 0.5, 0.77, 0.999]

every_mask = pytest.mark.parametrize("mask_fn", MASKS)


def reachable(mask_fn):
    return [0.0, 0.5] if mask_fn.allocation.name == "2:4" else SPARSITIES


@every_mask
def test_contract(mask_fn):
    _, params, _ = TOY
    check_mask(mask_fn, params, sparsities=reachable(mask_fn))


@every_mask
def test_one_ranking_for_all_sparsities(mask_fn):
    _, params, _ = TOY
    sparsities = reachable(mask_fn)
    for mask, sparsity in zip(
        mask_fn.sweep(params, sparsities), sparsities, strict=True
    ):
        alone = mask_fn(params, sparsity)
        assert all(map(np.array_equal, *map(jax.tree.leaves, (mask, alone))))


@pytest.fixture(scope="module")
def derivatives_once():
    """Let ``check_score`` ask one context of each type for the derivatives.

    They are compiled once for all scores, such as the gradients of SNIP and GraSP.
    """
    contexts = {}

    def context(apply_fn, images, earlier):
        if apply_fn not in contexts:
            contexts[apply_fn] = Context(apply_fn, images, QUICK_KEY, earlier=earlier)
        return contexts[apply_fn]

    with pytest.MonkeyPatch.context() as patch:
        networks = functools.cache(testing.example_network)
        patch.setattr(testing, "example_network", networks)
        patch.setattr(testing, "Context", context)
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("derivatives_once")
@pytest.mark.parametrize("name", SCORES)
def test_scores_in_every_float_type(name):
    allocations = [
        a
        for a in (globally, layerwise, per_output, filters, erk)
        if makes_sense(a, name)
    ]
    check_score(SCORES[name].make(0), allocations)


@every_mask
def test_ties(mask_fn):
    """Of equal weights exactly so many go."""
    if context_use(mask_fn.score) == "needed":
        return  # what data says of equal weights is no tie
    params = {"a": np.ones((4, 5)), "b": np.ones((3, 4)), "c": np.ones(7)}
    (sparsity,) = reachable(mask_fn)[1:2] if len(reachable(mask_fn)) < 3 else [0.25]
    mask = dataclasses.replace(mask_fn, context=None)
    achieved, _ = achieved_sparsity(params, mask(params, sparsity))
    per_weight = not WHOLE & {mask_fn.score.__name__}
    groups = mask_fn.allocation.name in ("filters", "channels", "blocks", "2:4")
    whole = groups or not per_weight
    assert achieved == pytest.approx(sparsity, abs=0.5 if whole else 0.04)


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
