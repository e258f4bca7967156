import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.masks.packed import delta_at, pack_masks


def independent(params, sparsity):
    """A mask of no ranking, not nested: a fresh draw for each sparsity."""
    rng = np.random.default_rng(int(sparsity * 1000))
    return jax.tree.map(
        lambda w: rng.random(w.shape) >= (sparsity if w.ndim > 1 else 0), params
    )


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
