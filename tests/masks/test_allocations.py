"""Allocations against their definitions, in a few lines of NumPy or PyTorch."""

import numpy as np
import pytest

from prefiqs_jax import masks
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks.allocations import find_allocation
from prefiqs_jax.masks.blocks import BLOCK
from prefiqs_jax.masks.scores import find_score
from prefiqs_jax.trees import is_prunable, named_leaves

RNG = np.random.default_rng(0)


def drawn():
    return {
        "conv": {"kernel": RNG.standard_normal((3, 3, 8, 16)).astype(np.float32)},
        "stem": {"kernel": RNG.standard_normal((3, 3, 3, 8)).astype(np.float32)},
        "fc": {"kernel": RNG.standard_normal((64, 12)).astype(np.float32)},
    }


def prunable(params):
    return {n: np.asarray(w) for n, w in named_leaves(params) if is_prunable(n, w)}


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9, 0.97])
def test_erk_is_its_definition(sparsity):
    params = drawn()
    weights = prunable(params)
    mask = prunable(masks.erk(masks.magnitude)(params, sparsity))
    # Raise epsilon until the number of kept weights is right, layers capped at dense.
    rate = {n: sum(w.shape) / w.size for n, w in weights.items()}
    total = sum(w.size for w in weights.values())
    low, high = 0.0, 1e6
    for _ in range(200):
        epsilon = (low + high) / 2
        kept = sum(min(1, epsilon * rate[n]) * w.size for n, w in weights.items())
        low, high = (epsilon, high) if kept < (1 - sparsity) * total else (low, epsilon)
    for name, w in weights.items():
        density = min(1, low * rate[name])
        assert (~mask[name]).sum() == round((1 - density) * w.size)
        gone, stay = abs(w[~mask[name]]), abs(w[mask[name]])
        assert not gone.size or not stay.size or gone.max() <= stay.min()


def test_erk_keeps_small_layers_whole():
    params = {"a": np.ones((100, 100)), "b": np.ones((2, 2))}
    keep = masks.erk(masks.random(0))(params, 0.5)
    assert keep["b"].all()
    assert abs((~keep["a"]).mean() - 0.5) < 1e-3


@pytest.mark.parametrize("sparsity", [0.2, 0.6, 0.95])
def test_lamp_is_its_definition(sparsity):
    params = drawn()
    mask = prunable(masks.lamp(masks.magnitude)(params, sparsity))
    scores, names = [], []
    for name, w in prunable(params).items():
        flat = w.ravel().astype(np.float64) ** 2
        for value in flat:
            scores.append(value / flat[flat >= value].sum())
        names += [name] * flat.size
    gone = set(np.argsort(scores, kind="stable")[: round(sparsity * len(scores))])
    start = 0
    for name, w in prunable(params).items():
        expected = [start + i not in gone for i in range(w.size)]
        assert mask[name].ravel().tolist() == expected
        start += w.size


@pytest.mark.parametrize("distinct", [3, 40, 10**9])
def test_lamp_of_many_weights_is_one_stable_sort(distinct):
    rng = np.random.default_rng(distinct)
    sizes = {"a": (BLOCK + 77, 2), "b": (3, 5), "c": (1000, 3)}
    params = {
        n: rng.integers(0, distinct, s).astype(np.float32) for n, s in sizes.items()
    }
    shares = []
    for w in params.values():
        flat = w.ravel().astype(np.float64)
        order = np.argsort(flat, kind="stable")
        left = np.cumsum(flat[order][::-1] ** 2)[::-1]  # whole numbers: exact
        own = np.zeros(flat.size)
        np.divide(flat[order] ** 2, left, out=left, where=left > 0)
        own[order] = left
        shares.append(own)
    order = np.argsort(np.concatenate(shares), kind="stable")
    ranks = np.argsort(order)
    for sparsity in (0.0, 1e-5, 0.3, 0.8, 0.999):
        keep = masks.lamp(masks.magnitude)(params, sparsity)
        found = np.concatenate([keep[n].ravel() for n in sizes])
        assert np.array_equal(found, ranks >= round(sparsity * len(ranks)))


def test_lamp_of_whole_filters():
    w = {"a": np.diag([1.0, 2.0, 3.0, 4.0]), "b": np.diag([5.0, 5.0])}
    keep = masks.lamp(find_score("l1").make(0))(w, 0.5)
    # Shares 1/30, 4/29, 9/25, 1 of four weights each, 1/2, 1 of two: 10 of 20 go.
    assert keep["a"].any(axis=0).tolist() == [False, False, True, True]
    assert keep["b"].any(axis=0).tolist() == [True, True]


def test_lamp_refuses_negative_scores():
    with pytest.raises(InputError, match="at least 0"):
        masks.lamp(lambda name, w: w)(drawn(), 0.5)


@pytest.mark.parametrize(("kept", "group"), [(2, 4), (1, 4), (4, 8), (1, 2)])
def test_n_m_is_exact_in_every_group(kept, group):
    params = drawn()
    mask = masks.n_m(kept, group)(masks.magnitude)(params, 1 - kept / group)
    for layer in ("conv", "fc"):
        w, keep = params[layer]["kernel"], mask[layer]["kernel"]
        rows = np.moveaxis(keep, -2, -1).reshape(-1, group)
        assert (rows.sum(axis=1) == kept).all()
        sizes = abs(np.moveaxis(w, -2, -1).reshape(-1, group))
        assert (
            np.where(rows, sizes, np.inf).min(1) >= np.where(rows, 0, sizes).max(1)
        ).all()
    assert mask["stem"]["kernel"].all()  # three channels are no multiple
    assert masks.n_m(kept, group)(masks.magnitude)(params, 0)["fc"]["kernel"].all()


def test_n_m_says_what_it_can_reach():
    with pytest.raises(InputError, match=r"2:4 cannot reach sparsity 0.3: .* give 0.5"):
        masks.n_m(2, 4)(masks.magnitude)(drawn(), 0.3)
    with pytest.raises(InputError, match="no layer has input channels"):
        masks.n_m(2, 4)(masks.magnitude)({"w": np.ones((3, 3))}, 0.5)
    with pytest.raises(InputError, match="0 < N < M"):
        masks.n_m(4, 4)


def test_ties_in_a_group_go_by_index():
    keep = masks.n_m(2, 4)(masks.magnitude)({"w": np.ones((4, 1))}, 0.5)["w"]
    assert keep.ravel().tolist() == [False, False, True, True]


@pytest.mark.parametrize("sparsity", [0.0, 0.25, 0.5, 0.9])
def test_every_output_loses_as_many(sparsity):
    params = drawn()
    mask = masks.per_output(masks.magnitude)(params, sparsity)
    for name, w in prunable(params).items():
        keep = prunable(mask)[name].reshape(-1, w.shape[-1])
        sizes = abs(w.reshape(-1, w.shape[-1]))
        count = round(sparsity * len(sizes))
        assert ((~keep).sum(axis=0) == count).all()
        for column, stays in zip(sizes.T, keep.T, strict=True):
            assert set(np.argsort(column, kind="stable")[:count]) == set(
                np.flatnonzero(~stays)
            )


def test_ties_of_an_output_go_by_index():
    w = np.array([[1, 1], [1, 2], [1, 1], [0, 1]], float)
    keep = masks.per_output(masks.magnitude)({"w": w}, 0.5)["w"]
    assert keep.T.tolist() == [[False, True, True, False], [False, True, False, True]]


@pytest.mark.parametrize("name", ["l1", "l2"])
@pytest.mark.parametrize("sparsity", [0.25, 0.5, 0.8])
def test_filters_are_torchs(name, sparsity):
    torch = pytest.importorskip("torch")
    from torch.nn.utils import prune

    for kernel in (layer["kernel"] for layer in drawn().values()):
        order = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        module = torch.nn.Linear(1, 1)
        module.weight = torch.nn.Parameter(torch.tensor(kernel.transpose(order).copy()))
        prune.ln_structured(module, "weight", sparsity, n=int(name[1]), dim=0)
        theirs = module.weight_mask.numpy().astype(bool)
        ours = masks.mask_named(f"filters/{name}").mask_fn({"w": kernel}, sparsity)["w"]
        assert (ours.transpose(order) == theirs).all()


def test_channels_and_blocks():
    w = np.ones((2, 2, 4, 6), np.float32)
    w[:, :, 1] = 0.1
    keep = masks.channels(masks.magnitude)({"w": w}, 0.25)["w"]
    assert not keep[:, :, 1].any()
    assert keep[:, :, [0, 2, 3]].all()
    w = np.ones((5, 6), np.float32)
    w[2:4, 4:6] = 0.1
    keep = masks.blocks_of(2, 2)(masks.magnitude)({"w": w}, 1 / 9)["w"]
    # The cut-off row of blocks sums to less than whole ones of ones, so it goes later
    # than the block of 0.1 only.
    assert (~keep).sum() == 4
    assert not keep[2:4, 4:6].any()


def test_budgets_scale_to_the_sparsity():
    params = {"a": np.arange(1.0, 101)[:, None], "b": np.arange(1.0, 101)[:, None]}
    budget = masks.budgets({"a": 0.2, "b": 0.6})(masks.magnitude)
    for sparsity, lost in {0.4: (20, 60), 0.2: (10, 30), 0.7: (40, 100)}.items():
        keep = budget(params, sparsity)
        assert tuple(int((~keep[n]).sum()) for n in "ab") == pytest.approx(lost, abs=1)
    with pytest.raises(InputError, match="cannot be reached"):
        masks.budgets({"a": 0.5})(masks.magnitude)(params, 0.6)
    with pytest.raises(InputError, match="c is no prunable leaf; known: a, b"):
        masks.budgets({"c": 0.5})(masks.magnitude)(params, 0.1)
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        masks.budgets({"a": 1.5})


def test_first_and_last_layers_stay(toy):
    apply_fn, params, images = toy
    context = masks.Context(apply_fn, images)
    keep = prunable(masks.inner_layers(masks.magnitude)(params, 0.05, context=context))
    assert keep["conv1/kernel"].all()
    assert keep["fc/kernel"].all()
    total = sum(k.size for k in keep.values())
    assert sum((~k).sum() for k in keep.values()) == round(0.05 * total)
    with pytest.raises(InputError, match="between the first and the last"):
        masks.inner_layers(masks.magnitude)(params, 0.5, context=context)
    with pytest.raises(InputError, match=r"uniform\+/magnitude needs the network"):
        masks.inner_layers(masks.magnitude)(params, 0.05)


def test_pairs_that_make_no_sense_say_so():
    for name in ("2:4/l1", "output/l2", "blocks/l1"):
        with pytest.raises(InputError, match="makes no sense"):
            masks.mask_named(name)
    with pytest.raises(InputError, match="give a score per weight"):
        masks.per_output(lambda n, w: w.sum(0, keepdims=True))({"w": np.eye(3)}, 0.5)


def test_names_with_numbers():
    for name in ("3:16", "blocks8x2"):
        assert getattr(find_allocation(name), "name", None) == name
    assert find_allocation("blocks") is masks.blocks
    assert find_allocation("nothing") is None
