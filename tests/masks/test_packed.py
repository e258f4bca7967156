import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import (
    achieved_sparsity,
    globally,
    layerwise,
    magnitude,
    pruning_delta,
)
from prefiqs_jax.masks.blocks import BLOCK
from prefiqs_jax.masks.norms import DeltaNorms, delta_norms
from prefiqs_jax.masks.packed import delta_at, pack_masks
from prefiqs_jax.trees import is_prunable, map_named, named_leaves, prunable_matching


def independent(params, sparsity):
    """A mask of no ranking, not nested: a fresh draw for each sparsity."""
    rng = np.random.default_rng(int(sparsity * 1000))
    return jax.tree.map(
        lambda w: rng.random(w.shape) >= (sparsity if w.ndim > 1 else 0), params
    )


def filter_norm(name, w):
    return np.sqrt((np.asarray(w) ** 2).sum(tuple(range(w.ndim - 1)), keepdims=True))


def coarse(name, w):
    """Score with many ties, among them infinite ones."""
    scores = np.abs(np.asarray(w)).round(1)
    return np.where(scores > 1, np.inf, scores)


def whole_number(name, w):
    return (1000 * np.asarray(w)).astype(np.int32)


def filters_of_some(name, w):
    """Score the weights of one layer and the filters of the others."""
    return (magnitude if name.startswith("fc") else filter_norm)(name, np.asarray(w))


def sorted_masks(allocation, score, params, sparsity, prunable):
    """Make a mask by the definition: sort everything, and try every count."""
    chosen = [(n, np.asarray(w)) for n, w in named_leaves(params) if prunable(n, w)]
    scores = {n: np.asarray(score(n, w)) for n, w in chosen}
    kept = {n: np.ones(s.size, bool) for n, s in scores.items()}
    groups = [[n] for n in scores] if allocation is layerwise else [list(scores)]
    sizes = {n: w.size for n, w in chosen}
    for group in groups:
        places = [(n, i) for n in group for i in range(scores[n].size)]
        flat = np.concatenate([scores[n].ravel() for n in group])
        order = np.argsort(flat, kind="stable")
        each = [1 if len(group) == 1 else sizes[n] // scores[n].size for n, _ in places]
        target = round(sparsity * sum(each))
        gone = np.concatenate([[0], np.cumsum(np.array(each)[order])])
        for index in order[: np.argmin(np.abs(gone - target))]:
            name, place = places[index]
            kept[name][place] = False

    def leaf(name, w):
        if name not in kept:
            return np.ones(w.shape, bool)
        return np.broadcast_to(kept[name].reshape(scores[name].shape), w.shape)

    return map_named(leaf, params)


SPARSITIES = [
    pytest.param([0.3], id="one"),
    pytest.param([0.0], id="none goes"),
    pytest.param([0.9, 0.1, 0.5, 0.1, 0.0], id="unordered"),
    pytest.param([i / 8 for i in range(8)], id="one plane"),
    pytest.param([0.99 - i / 20 for i in range(19)], id="three planes"),
]


@pytest.mark.slow
@pytest.mark.parametrize("sparsities", SPARSITIES)
@pytest.mark.parametrize("allocation", [globally, layerwise])
@pytest.mark.parametrize(
    "score", [magnitude, filter_norm, coarse, whole_number, filters_of_some]
)
@pytest.mark.parametrize("restricted", [False, True])
def test_planes_are_the_masks_of_a_sort(toy, allocation, score, sparsities, restricted):
    _, params, _ = toy
    prunable = prunable_matching("fc|depth") if restricted else is_prunable
    masks = [sorted_masks(allocation, score, params, s, prunable) for s in sparsities]
    packed = pack_masks(allocation(score, prunable), params, sparsities)
    for planes, *keeps in zip(packed.planes, *map(jax.tree.leaves, masks), strict=True):
        if planes is None:
            assert np.all(keeps)
        else:
            goes = ~np.stack(keeps)
            assert goes.any()
            assert np.array_equal(planes, np.packbits(goes, axis=0, bitorder="little"))
            assert planes.dtype == np.uint8
    counted = [achieved_sparsity(params, mask) for mask in masks]
    assert packed.achieved == tuple(total for total, _ in counted)
    assert packed.layers == {
        name: tuple(layers[name] for _, layers in counted) for name in counted[0][1]
    }


@pytest.mark.parametrize("allocation", [globally, layerwise])
@pytest.mark.parametrize("prunable", [is_prunable, prunable_matching("never")])
def test_a_ranking_packs_as_its_masks(allocation, prunable):
    """Leaves of several blocks, and a fraction of other leaves than the ranked."""
    rng = np.random.default_rng(0)
    shapes = {"a": (3, BLOCK), "b": (7, 11), "c": (5,), "d": (0, 4)}
    params = {n: rng.standard_normal(s).round(3) for n, s in shapes.items()}
    sparsities = [i / 11 for i in range(10, -1, -1)]
    mask_fn = allocation(magnitude)
    ranked = pack_masks(mask_fn, params, sparsities, prunable)
    each = pack_masks(mask_fn.__call__, params, sparsities, prunable)
    for one, other in zip(ranked.planes, each.planes, strict=True):
        if one is None or other is None:
            assert one is other
        else:
            assert np.array_equal(one, other)
    assert [plane is None for plane in ranked.planes] == [False, False, True, True]
    assert (ranked.achieved, ranked.layers) == (each.achieved, each.layers)
    assert (ranked.sizes, ranked.sparsities) == (each.sizes, each.sparsities)


@pytest.mark.parametrize("mask_fn", [globally(magnitude), independent])
@pytest.mark.parametrize("count", [1, 3, 8, 9, 20])
def test_directions_survive_packing(toy, mask_fn, count):
    _, params, _ = toy
    sparsities = [(i + 1) / (count + 2) for i in range(count)]
    packed = pack_masks(mask_fn, params, sparsities)
    for index, sparsity in enumerate(sparsities):
        delta = pruning_delta(params, mask_fn(params, sparsity))
        for w, d, planes in zip(
            *map(jax.tree.leaves, (params, delta)), packed.planes, strict=True
        ):
            if planes is None:
                assert not np.any(d)
            else:
                assert planes.shape == (-(-count // 8), *w.shape)
                made = jax.jit(delta_at)(w, jnp.asarray(planes), index)
                assert np.array_equal(made, d)
                assert made.dtype == w.dtype


def test_achieved_is_counted_per_layer(toy):
    _, params, _ = toy
    packed = pack_masks(globally(magnitude), params, [0.0, 0.5])
    assert packed.achieved[0] == 0
    total = sum(
        packed.sizes[name] * layer[1] for name, layer in packed.layers.items()
    ) / sum(packed.sizes.values())
    assert packed.achieved[1] == pytest.approx(total, rel=1e-12)
    assert list(packed.layers) == ["conv1/kernel", "depthwise/kernel", "fc/kernel"]


def test_masks_of_another_shape_are_refused(toy):
    _, params, _ = toy
    with pytest.raises(InputError, match="structure"):
        pack_masks(lambda params, sparsity: {"w": np.ones(3, bool)}, params, [0.5])


@pytest.mark.parametrize("count", [1, 9])
def test_norm_of_the_direction_is_that_of_the_direction(count):
    rng = np.random.default_rng(7)
    params = {
        "a": {"kernel": rng.standard_normal((300, 400)), "bias": np.ones(4)},
        "b": {"kernel": np.zeros((5, 6), np.float32)},
    }
    sparsities = np.linspace(0, 0.9, count).tolist()
    mask_fn = globally(magnitude)
    total, layers = delta_norms(params, pack_masks(mask_fn, params, sparsities))
    assert set(layers) == {"a/kernel", "b/kernel"}
    for index, sparsity in enumerate(sparsities):
        delta = pruning_delta(params, mask_fn(params, sparsity))
        norm = np.linalg.norm(np.asarray(delta["a"]["kernel"]))
        whole = np.linalg.norm(params["a"]["kernel"])
        assert total.delta_norm[index] == pytest.approx(norm, abs=1e-12)
        assert layers["a/kernel"].delta_norm_relative[index] == pytest.approx(
            norm / whole, abs=1e-12
        )
    assert layers["b/kernel"] == DeltaNorms([0.0] * count, [0.0] * count)
