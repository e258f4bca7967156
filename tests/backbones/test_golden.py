"""Ports against the official PyTorch code, through the golden files of ../shared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.functional import flatten, unflatten
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.masks import globally, layerwise, magnitude, pruning_delta
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sensitivity import embedding_jvp, embedding_jvps

pytestmark = pytest.mark.weights

NAMES = [
    "arcface_iresnet18",
    "arcface_iresnet34",
    "arcface_iresnet50",
    "arcface_iresnet100",
    "magface_iresnet100",
]


class Golden:
    """One architecture with its golden weights loaded from a .safetensors file."""

    def __init__(self, name, golden_weights, folder, path):
        from safetensors.numpy import save_file

        self.name = name
        self.manifest = golden_weights.load_manifest(f"{folder}/{name}.manifest.json")
        self.state = golden_weights.golden_state_dict(
            self.manifest, seed=self.manifest["weights"]["seed"]
        )
        digest = golden_weights.state_dict_digest(self.state)
        assert digest == self.manifest["weights_sha256"]
        spec = self.manifest["images"]
        self.pictures = golden_weights.golden_images(
            spec["n"], spec["height"], spec["width"], seed=spec["seed"]
        )
        self.arrays = dict(np.load(f"{folder}/{name}.npz"))
        save_file(self.state, path)
        self.backbone = load_backbone(name, path)
        self.entries = architecture(name).entries(architecture(name).blueprint.shapes)
        self.params64 = jax.tree.map(
            lambda w: w.astype(jnp.float64), self.backbone.params
        )
        self.images64 = self.backbone.preprocess(self.pictures, np.float64)

    def layers(self):
        return [f"{name}.weight" for name in self.arrays["layer_names"]]

    def to_tree(self, keep):
        """Bring masks in PyTorch's layout and names into the tree of the parameters."""
        flat = {p: np.ones(w.shape, bool) for p, w in flatten(self.params64).items()}
        for key, mask in keep.items():
            entry = self.entries[key]
            path = entry.target.removeprefix("params/")
            assert entry.transform is not None
            flat[path] = entry.transform(mask.astype(np.float32)).astype(bool)
        return unflatten(flat)

    def stored_mask(self, allocation, index, tie=None):
        """Rebuild a stored mask: threshold, then tie table (or one value for it)."""
        threshold = self.arrays[f"threshold_{allocation}"][index]
        keep = {}
        for position, key in enumerate(self.layers()):
            at = threshold if np.ndim(threshold) == 0 else threshold[position]
            keep[key] = np.abs(self.state[key]) > at
        for row in self.arrays[f"tie_table_{allocation}"]:
            level, layer, place, pruned = (int(value) for value in row)
            if level == index:
                flat = keep[self.layers()[layer]].reshape(-1)
                flat[place] = not pruned if tie is None else tie
        return self.to_tree(keep)


@pytest.fixture(scope="module", params=NAMES)
def golden(request, shared, golden_weights, tmp_path_factory):
    shared(f"golden/{request.param}.npz")
    path = tmp_path_factory.mktemp("golden") / "weights.safetensors"
    return Golden(request.param, golden_weights, shared("golden"), path)


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_float64_embeddings(golden):
    embedding = jax.jit(golden.backbone.apply_fn)(golden.params64, golden.images64)
    reference = golden.arrays["embedding_f64"]
    assert np.abs(unit(embedding) - unit(reference)).max() <= 1e-12
    assert np.abs(embedding - reference).max() <= 1e-12 * np.abs(reference).max()


def test_float32_embeddings(golden):
    images = golden.backbone.preprocess(golden.pictures)
    embedding = jax.jit(golden.backbone.apply_fn)(golden.backbone.params, images)
    assert embedding.dtype == jnp.float32
    embedding = np.asarray(embedding, np.float64)
    reference = golden.arrays["embedding_f64"]
    assert np.abs(unit(embedding) - unit(reference)).max() <= 2e-6
    assert np.abs(embedding - reference).max() <= 1e-5 * np.abs(reference).max()


def test_counts(golden):
    leaves = jax.tree.leaves(golden.backbone.params)
    assert sum(leaf.size for leaf in leaves) == golden.manifest["num_parameters"]
    assert sum(x.size for x in leaves if x.ndim > 1) == golden.manifest["num_prunable"]
    assert sum(x.ndim > 1 for x in leaves) == (golden.manifest["num_prunable_layers"])


@pytest.mark.parametrize("allocation", ["global", "layerwise"])
def test_masks(golden, allocation):
    mask_fn = {"global": globally, "layerwise": layerwise}[allocation](magnitude)
    sparsities = golden.arrays["sparsities"].tolist()
    paths = [
        golden.entries[key].target.removeprefix("params/") for key in golden.layers()
    ]
    for index, mask in enumerate(mask_fn.sweep(golden.backbone.params, sparsities)):
        zeros = np.array([np.sum(~flatten(mask)[path]) for path in paths])
        stored = golden.arrays[f"zeros_{allocation}"][index]
        assert zeros.sum() == stored.sum()
        if allocation == "layerwise":
            assert (zeros == stored).all()
        # Equal wherever no tie is listed: between the two readings of the ties.
        most = golden.stored_mask(allocation, index, tie=True)
        least = golden.stored_mask(allocation, index, tie=False)
        for ours, upper, lower in zip(
            *map(jax.tree.leaves, (mask, most, least)), strict=True
        ):
            assert (ours <= upper).all()
            assert (ours >= lower).all()


def test_pruned_embeddings(golden):
    apply = jax.jit(golden.backbone.apply_fn)
    for allocation in ("global", "layerwise"):
        for index in range(len(golden.arrays["sparsities"])):
            mask = golden.stored_mask(allocation, index)
            delta = pruning_delta(golden.params64, mask)
            pruned = jax.tree.map(jnp.add, golden.params64, delta)
            reference = golden.arrays[f"pruned_{allocation}_f64"][index]
            embedding = apply(pruned, golden.images64)
            assert np.abs(unit(embedding) - unit(reference)).max() <= 1e-12


def test_jvps(golden):
    jvp = jax.jit(embedding_jvp, static_argnums=0)
    where = golden.arrays["sparsities"].tolist()
    for index, sparsity in enumerate(golden.arrays["jvp_sparsities"].tolist()):
        mask = golden.stored_mask("global", where.index(sparsity))
        delta = pruning_delta(golden.params64, mask)
        _, ours = jvp(golden.backbone.apply_fn, golden.params64, delta, golden.images64)
        reference = golden.arrays["jvp_normalised_f64"][index]
        assert np.abs(ours - reference).max() <= 1e-11 * np.abs(reference).max()


@pytest.mark.parametrize("golden", ["arcface_iresnet18"], indirect=True)
def test_jvps_of_one_linearisation(golden):
    where = golden.arrays["sparsities"].tolist()
    levels = [where.index(s) for s in golden.arrays["jvp_sparsities"].tolist()]
    deltas = [
        pruning_delta(golden.params64, golden.stored_mask("global", level))
        for level in levels
    ]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *deltas)
    _, ours = jax.jit(embedding_jvps, static_argnums=0)(
        golden.backbone.apply_fn, golden.params64, stacked, golden.images64
    )
    reference = golden.arrays["jvp_normalised_f64"]
    assert np.abs(ours - reference).max() <= 1e-11 * np.abs(reference).max()


def test_packed_masks_count_the_same(golden):
    packed = pack_masks(globally(magnitude), golden.backbone.params, [0.1, 0.5])
    zeros = golden.arrays["zeros_global"].sum(-1)[[0, 2]]
    total = sum(packed.sizes.values())
    assert [round(a * total) for a in packed.achieved] == zeros.tolist()
