"""Ports against their PyTorch twins in float64: every layer, and the JVP."""

import dataclasses
import re
import zlib

import jax
import numpy as np
import pytest
from compiling import jit_at_level

pytest.importorskip("torch")

import torch
from backbones.twins.pairs import PAIRS, Pair
from backbones.twins.taps import in_layout_of, port_taps, twin_taps

from prefiqs_jax.backbones.functional import bind, blueprint
from prefiqs_jax.backbones.quality import quality_head
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import embedding_jvp
from prefiqs_jax.types import ApplyFn, Params
from prefiqs_jax.weights.mapping import convert

pytestmark = [pytest.mark.twins, pytest.mark.usefixtures("one_thread")]

# Computed by the module around it, from the weights alone.
NOT_CALLED = r".*(se_block|res_layer\.5)\.fc[12]|linear1(\.conv)?|qs"
IGNORABLE = [(r".*\.num_batches_tracked", "counter of the training")]
SPARSITY = 0.3
quick_jit = jit_at_level(1)


@dataclasses.dataclass(frozen=True)
class Sample:
    pair: Pair
    twin: torch.nn.Module
    tensors: dict
    params: Params
    apply_fn: ApplyFn
    images: np.ndarray  # NHWC

    def images_of_twin(self):
        return torch.from_numpy(self.images.transpose(0, 3, 1, 2).copy())


def randomise(twin, rng):
    """Draw every tensor; PReLU slopes are negative and above 1, too."""
    for path, module in twin.named_modules():
        for leaf, tensor in [
            *module.named_parameters(recurse=False),
            *module.named_buffers(recurse=False),
        ]:
            shape = tuple(tensor.shape)
            if leaf == "running_var":
                values = 10 ** rng.uniform(-3, 0.5, shape)  # epsilon must count
            elif isinstance(module, torch.nn.PReLU):
                values = rng.uniform(-1.5, 2.0, shape)
            elif tensor.ndim in (2, 4):
                values = rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)
            else:
                values = rng.normal(0, 0.7, shape)
            if tensor.is_floating_point():
                assert values.any(), f"{path}.{leaf}"
                with torch.no_grad():
                    tensor.copy_(torch.from_numpy(values))


@pytest.fixture(scope="module", params=PAIRS)
def sample(request):
    pair = PAIRS[request.param]
    rng = np.random.default_rng(zlib.crc32(request.param.encode()))
    twin = pair.twin().double()
    randomise(twin, rng)
    state = {key: value.numpy() for key, value in twin.state_dict().items()}
    plan = blueprint(pair.port)
    entries = pair.entries(plan.shapes)
    tensors, ignored = convert(state, entries, IGNORABLE, plan.shapes)
    assert tensors.keys() == plan.shapes.keys()
    assert len(ignored) + len(entries) == len(state)
    params, apply_fn = bind(plan, tensors)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype("float64")}
    images = rng.uniform(-1, 1, (2, *pair.size, 3))
    return Sample(pair, twin, tensors, params, apply_fn, images)


@pytest.fixture(scope="module")
def computed(sample):
    """Give every layer's output, the unit embedding and its JVP, of one program."""
    mask = globally(magnitude)(sample.params, SPARSITY)

    @quick_jit
    def compute(params, mask, images):
        layers = port_taps(lambda: sample.apply_fn(params, images))
        delta = pruning_delta(params, mask)
        return layers, *embedding_jvp(sample.apply_fn, params, delta, images)

    return compute(sample.params, mask, sample.images)


def test_every_layer(sample, computed):
    ours = computed[0]
    theirs = twin_taps(sample.twin, sample.images_of_twin())
    compared = 0
    for path, expected in theirs.items():
        if re.fullmatch(NOT_CALLED, path):
            continue
        found = sample.pair.port_path(path)
        assert found in ours, f"the port has no {found or 'output'}"
        reference = in_layout_of(expected, ours[found])
        error = np.abs(ours[found] - reference).max() / np.abs(reference).max()
        assert error <= 1e-12, f"{path or 'output'} differs by {error:.1e}"
        compared += 1
    assert compared >= 0.8 * len(theirs)


def pruned_weights(twin):
    """Give minus the smallest weights of all layers together, by key, in NumPy."""
    weights = {
        f"{path}.weight": module.weight.detach().numpy()
        for path, module in twin.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and path != "qs"
    }
    magnitudes = np.sort(np.concatenate([np.abs(w).ravel() for w in weights.values()]))
    threshold = magnitudes[round(SPARSITY * magnitudes.size) - 1]
    return {
        key: torch.from_numpy(np.where(np.abs(w) <= threshold, -w, 0.0))
        for key, w in weights.items()
    }


# PyTorch compiles its forward-mode rules by what it deprecates.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is:DeprecationWarning")
def test_jvp_along_the_pruning_direction(sample, computed):
    twin, images = sample.twin, sample.images_of_twin()
    primal = {key: value.detach() for key, value in twin.named_parameters()}
    tangent = {key: torch.zeros_like(value) for key, value in primal.items()}
    tangent |= pruned_weights(twin)

    def embed(parameters):
        raw = torch.func.functional_call(twin, parameters, (images,))
        return raw / raw.norm(dim=1, keepdim=True)

    embedding, expected = torch.func.jvp(embed, (primal,), (tangent,))[:2]
    _, unit, ours = computed
    assert np.abs(unit - embedding.detach().numpy()).max() <= 1e-12
    expected = expected.detach().numpy()
    assert np.abs(expected).max() > 1e-3
    assert np.abs(ours - expected).max() <= 1e-11 * np.abs(expected).max()


@pytest.mark.parametrize("sample", ["iresnet_quality"], indirect=True)
def test_quality_head(sample):
    with torch.no_grad():
        raw = sample.twin(sample.images_of_twin())
        expected = sample.twin.qs(raw)[:, 0].numpy()
    head = quality_head(sample.tensors)
    assert head is not None
    ours = head(quick_jit(sample.apply_fn)(sample.params, sample.images))
    assert np.abs(ours - expected).max() <= 1e-12 * np.abs(expected).max()
