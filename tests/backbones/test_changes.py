"""Changes of the weights that come from other checkpoints of a network."""

import importlib.resources
from typing import Any

import jax
import numpy as np
import pytest

from prefiqs_jax.backbones import convert_weights, load_backbone
from prefiqs_jax.backbones.changes import read_delta
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, mask_between, noise, quantised
from prefiqs_jax.trees import map_named, named_leaves
from prefiqs_jax.weights import store
from prefiqs_jax.weights.pruned import merge_pruned


@pytest.fixture(scope="module")
def demo():
    return load_backbone("demo")


@pytest.fixture
def checkpoint(tmp_path):
    """Write a checkpoint of the demo network, each tensor given to a function."""
    from safetensors import safe_open
    from safetensors.numpy import load_file

    path = tmp_path / "demo.safetensors"
    asset = importlib.resources.files("prefiqs_jax") / "assets" / "demo.safetensors"
    with importlib.resources.as_file(asset) as source:
        convert_weights(source, path, "demo")
    tensors = load_file(path)
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()

    def write(change, name="other.safetensors"):
        changed = {key: change(key, array) for key, array in tensors.items()}
        store.save(tmp_path / name, changed, metadata)
        return str(tmp_path / name)

    return write


def test_zeros_of_another_program(demo, checkpoint, sha256):
    mask = globally(magnitude)(demo.params, 0.4)
    keep = {f"params/{name}": kept for name, kept in named_leaves(mask)}
    file = checkpoint(lambda key, array: array * keep.get(key, True))
    found = read_delta(file, demo)
    assert (found.name, found.source_sha256) == ("other", sha256(file))
    pruned = jax.tree.map(np.add, demo.params, found.delta)
    again = mask_between(demo.params, pruned)
    for (name, kept), (_, wanted) in zip(
        named_leaves(again), named_leaves(mask), strict=True
    ):
        # A weight that is zero already has nowhere to go.
        zero = np.asarray(dict(named_leaves(demo.params))[name]) == 0
        np.testing.assert_array_equal(kept, wanted | zero)


def test_fine_tuned_weights_and_running_statistics(demo, checkpoint):
    said = []
    file = checkpoint(lambda key, array: array * np.float32(1.25))
    found = read_delta(file, demo, say=said.append)
    for (name, change), (_, weights) in zip(
        named_leaves(found.delta), named_leaves(demo.params), strict=True
    ):
        np.testing.assert_allclose(
            change, 0.25 * np.float64(weights), rtol=1e-5, atol=1e-8, err_msg=name
        )
    assert len(said) == 1
    assert "has other running statistics (BatchNorm), too" in said[0]
    only = checkpoint(
        lambda key, array: array * np.float32(1 + key.startswith("params/")),
        "p.safetensors",
    )
    said.clear()
    read_delta(only, demo, say=said.append)
    assert said == []
    with pytest.raises(InputError, match="weights changed without becoming zero"):
        mask_between(demo.params, jax.tree.map(np.add, demo.params, found.delta))


def test_rounding(demo):
    found = read_delta("int8", demo)
    assert (found.name, found.source_sha256) == ("int8", None)
    wanted = quantised(demo.params, 8)
    same = jax.tree.map(np.array_equal, found.delta, wanted)
    assert all(jax.tree.leaves(same))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_quantised_weights_are_multiples_of_a_step(bits):
    rng = np.random.default_rng(0)
    params = {"fc": rng.standard_normal((7, 3)), "bias": rng.standard_normal(3)}
    changed = params["fc"] + quantised(params, bits)["fc"]
    largest = 2 ** (bits - 1) - 1
    step = np.abs(params["fc"]).max(0) / largest
    whole = changed / step
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-9)
    assert np.abs(changed - params["fc"]).max() <= step.max() / 2 + 1e-12
    assert np.abs(whole).max() <= largest + 1e-9
    assert not quantised(params, bits)["bias"].any()


def test_quantisation_knows_the_outputs_of_equinox():
    """One step for each output, wherever the library has its axis."""
    eqx: Any = pytest.importorskip("equinox")
    import prefiqs_jax

    conv = eqx.nn.Conv2d(3, 4, 3, key=jax.random.key(0), dtype=np.float32)

    class Net(eqx.Module):
        conv: Any

        def __call__(self, image):
            return self.conv(image).mean((1, 2))

    backbone = prefiqs_jax.from_equinox(Net(conv), None, (6, 6, 3))
    delta = read_delta("int4", backbone).delta.conv.weight
    kernel = np.asarray(conv.weight)
    turned = quantised({"kernel": kernel.transpose(2, 3, 1, 0)}, 4)["kernel"]
    np.testing.assert_allclose(delta, turned.transpose(3, 2, 0, 1), atol=1e-7)


def test_noise_has_the_norm_asked_for(demo):
    for (name, change), (_, weights) in zip(
        named_leaves(noise(demo.params, 0.01, seed=1)),
        named_leaves(demo.params),
        strict=True,
    ):
        ratio = np.linalg.norm(change) / np.linalg.norm(weights)
        assert abs(ratio - (0.01 if np.ndim(weights) > 1 else 0)) < 1e-6, name


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("int1", "1 bits: give from 2 to 16"),
        ("int17", "17 bits: give from 2 to 16"),
        ("gone.pth", r"gone\.pth: cannot be opened"),
        ("weights.txt", "cannot be opened"),
    ],
)
def test_sources_that_cannot_be_used(demo, source, told):
    with pytest.raises(InputError, match=told) as caught:
        read_delta(source, demo)
    assert "\n" not in str(caught.value)


def test_the_same_weights_are_no_change(demo, checkpoint):
    file = checkpoint(lambda key, array: array)
    with pytest.raises(InputError, match="holds the weights of --weights themselves"):
        read_delta(file, demo)


def test_a_checkpoint_of_another_architecture(demo, checkpoint):
    file = checkpoint(lambda key, array: array[..., :1])
    with pytest.raises(InputError, match=r"other\.safetensors") as caught:
        read_delta(file, demo)
    assert "\n" not in str(caught.value)


def test_weights_of_two_networks(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        "import numpy as np\nimport prefiqs_jax\n"
        "def apply_fn(p, x):\n"
        "    return x.reshape(len(x), -1)[:, :len(p['fc'])] @ p['fc']\n"
        "def build(weights):\n"
        "    fc = np.load(weights)\n"
        "    return prefiqs_jax.from_function(apply_fn, {'fc': fc}, (2, 2, 3))\n"
    )
    for name, rows in (("one", 5), ("two", 6)):
        np.save(tmp_path / f"{name}.npy", np.ones((rows, 2), np.float32))
    backbone = load_backbone(f"{file}:build", tmp_path / "one.npy")
    told = (
        r"two\.npy is no other checkpoint of function: fc is float32 of shape \(6, 2\) "
        r"in the other weights, but float32 of shape \(5, 2\) here"
    )
    with pytest.raises(InputError, match=told):
        read_delta(str(tmp_path / "two.npy"), backbone, name=f"{file}:build")


def test_pairs_of_torch_prune():
    rng = np.random.default_rng(0)
    original, mask = rng.standard_normal((3, 4)), rng.integers(0, 2, (3, 4))
    found = merge_pruned(
        {"a.weight_orig": original, "a.weight_mask": mask, "lonely_mask": mask}
    )
    assert list(found) == ["a.weight", "lonely_mask"]
    np.testing.assert_array_equal(found["a.weight"], original * mask)
    not_finite = {"w_orig": np.array([np.inf, 1.0]), "w_mask": np.array([0, 1])}
    assert merge_pruned(not_finite)["w"].tolist() == [0.0, 1.0]
    for bad in (mask + 1, mask[:2], mask * 0.5 + 0.25):
        with pytest.raises(InputError, match=r"a\.weight_mask is no mask of"):
            merge_pruned({"a.weight_orig": original, "a.weight_mask": bad})


@pytest.mark.twins
def test_a_checkpoint_pruned_by_torch(tmp_path):
    """Pairs of ``_orig`` and ``_mask``, as ``global_unstructured`` leaves them."""
    torch = pytest.importorskip("torch")
    from backbones.twins import zoo
    from torch.nn.utils import prune

    torch.manual_seed(0)
    twin: Any = zoo.FULL_SIZE["arcface_mobilefacenet"]()
    torch.save(twin.state_dict(), tmp_path / "dense.pth")
    layers = [
        m for m in twin.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)
    ]
    prune.global_unstructured(
        [(layer, "weight") for layer in layers], prune.L1Unstructured, amount=0.3
    )
    state = twin.state_dict()
    assert any(name.endswith("weight_orig") for name in state)
    torch.save(state, tmp_path / "pruned.pth")
    dense = load_backbone("arcface_mobilefacenet", tmp_path / "dense.pth")
    said = []
    found = read_delta(str(tmp_path / "pruned.pth"), dense, say=said.append)
    assert said == []
    pruned = jax.tree.map(np.add, dense.params, found.delta)
    gone = sum(
        int((~keep).sum())
        for keep in jax.tree.leaves(mask_between(dense.params, pruned))
    )
    size = sum(layer.weight.numel() for layer in layers)
    assert gone == round(0.3 * size)
    ours = globally(magnitude)(dense.params, 0.3)
    differs = map_named(
        lambda _, one, other: int((one != other).sum()),
        ours,
        mask_between(dense.params, pruned),
    )
    assert sum(jax.tree.leaves(differs)) <= 2  # ties
