"""Ports against the official PyTorch code, through the golden files of ../shared."""

import functools
import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import jit_at_level
from safetensors.numpy import save_file

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.functional import flatten, unflatten
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.masks import globally, layerwise, magnitude, pruning_delta
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sensitivity import embedding_jvp, embedding_jvps

pytestmark = pytest.mark.weights

# File of ../shared/golden to the name in the zoo.
NETWORKS = {
    "arcface_iresnet18": "arcface_iresnet18",
    "arcface_iresnet34": "arcface_iresnet34",
    "arcface_iresnet50": "arcface_iresnet50",
    "arcface_iresnet100": "arcface_iresnet100",
    "magface_iresnet100": "magface_iresnet100",
    "curricularface_ir101": "curricularface_ir101",
    "adaface_ir50": "adaface_ir50",
    "adaface_ir101": "adaface_ir101",
    "arcface_mobilefacenet": "arcface_mobilefacenet",
    "xiaoccer_mobilefacenet": "xiaoccer_mobilefacenet",
    "mobilefacenet_068": "xiaoccer_mobilefacenet",  # really trained
    "arcface_vit_t": "arcface_vit_t",
}
# Same graph and same golden weights as arcface_iresnet100, so the same outputs.
TWINS_OF_ARCFACE = ["elasticface_iresnet100", "grafiqs_iresnet100"]
ADAFACE = ["adaface_ir50", "adaface_ir101"]
ALLOCATIONS = {"global": globally, "layerwise": layerwise}
RESIDUAL = [name for name in NETWORKS if "_ir" in name]
# One network of every kind of block; deeper ones repeat its blocks.
DIFFERENTIATED = [
    name
    for name in NETWORKS
    if name not in RESIDUAL
    or name in ("arcface_iresnet18", "curricularface_ir101", "adaface_ir50")
]
# What large and deep networks are pruned to; the others to everything stored.
LARGE_LEVELS = (1, 3)
DEEP_LEVELS = (3,)
LARGE_JVP_LEVELS = (1,)
# Of the stored ones: enough to tell a batch from its images.
IMAGES = 2
PER_IMAGE = ("embedding_", "official_", "pruned_", "jvp_normalised_")
quick_jit = jit_at_level(1)


def official_images(golden_weights, manifest):
    spec = manifest["images"]
    rgb_images = golden_weights.golden_images(
        spec["n"], spec["height"], spec["width"], seed=spec["seed"]
    )
    assert hashlib.sha256(rgb_images.tobytes()).hexdigest() == spec["sha256"]
    return rgb_images


def official_weights(golden_weights, manifest, shared, folder):
    """Give a file with the weights: rebuilt, or the real checkpoint."""
    if manifest["weights"]["kind"] != "golden":
        pytest.importorskip("torch")
        path = shared("weights/mobilefacenet_068.ckpt")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest == manifest["weights"]["file_sha256"]
        return path
    state = golden_weights.golden_state_dict(manifest, seed=manifest["weights"]["seed"])
    assert golden_weights.state_dict_digest(state) == manifest["weights_sha256"]
    path = folder / "weights.safetensors"
    save_file(state, path)
    return path


class Golden:
    """One network with its official weights, images and outputs."""

    def __init__(self, name, golden_weights, shared, folder):
        path = shared(f"golden/{name}.manifest.json")
        self.manifest = golden_weights.load_manifest(path)
        self.name = name
        self.arrays = {
            key: value[..., :IMAGES, :] if key.startswith(PER_IMAGE) else value
            for key, value in np.load(shared(f"golden/{name}.npz")).items()
        }
        self.rgb_images = official_images(golden_weights, self.manifest)[:IMAGES]
        weights = official_weights(golden_weights, self.manifest, shared, folder)
        self.backbone = load_backbone(NETWORKS[name], weights)
        found = architecture(NETWORKS[name])
        self.entries = found.entries(found.blueprint.shapes)
        self.weights = {
            path: np.asarray(w) for path, w in flatten(self.backbone.params).items()
        }
        self.layers = [f"{layer}.weight" for layer in self.arrays["layer_names"]]
        self.deep = len(self.layers) > 100
        self.large = name in RESIDUAL and name != "arcface_iresnet18"

    @functools.cached_property
    def params64(self):
        return jax.tree.map(lambda w: np.asarray(w, np.float64), self.backbone.params)

    @functools.cached_property
    def images64(self):
        return self.backbone.preprocess(self.rgb_images, np.float64)

    @functools.cached_property
    def apply(self):
        """Compute raw embeddings, of residual networks operation by operation.

        Their layers have few shapes, the same in all of these networks, so that all but
        the first find their operations compiled.
        """
        plain = self.backbone.apply_fn
        return plain if self.name in RESIDUAL else quick_jit(plain)

    @functools.cached_property
    def embedding64(self):
        return np.asarray(self.apply(self.params64, self.images64))

    def path(self, key):
        return self.entries[key].target.removeprefix("params/")

    @functools.cached_property
    def all_ties(self):
        """Give (path, index in the flat JAX array, pruned) of every tie torch split.

        By allocation and level.
        """
        numbers = functools.cache(self.numbers)
        found = {}
        for allocation in ALLOCATIONS:
            for row in self.arrays[f"tie_table_{allocation}"]:
                level, layer, place, pruned = (int(value) for value in row)
                (index,) = np.flatnonzero(numbers(self.layers[layer]) == place)
                tie = self.path(self.layers[layer]), index, pruned
                found.setdefault((allocation, level), []).append(tie)
        return found

    def numbers(self, key):
        """Give the flat indices of torch's array, in the order of ours."""
        entry = self.entries[key]
        assert entry.transform is not None
        order = np.arange(np.prod(entry.shape), dtype=np.int32)
        return entry.transform(order.reshape(entry.shape)).ravel()

    def ties(self, allocation, level):
        return self.all_ties.get((allocation, level), ())

    def stored_mask(self, allocation, level):
        """Rebuild a stored mask: the threshold, then the ties as torch split them."""
        threshold = self.arrays[f"threshold_{allocation}"][level]
        flat = {path: np.ones(w.shape, bool) for path, w in self.weights.items()}
        thresholds = np.broadcast_to(threshold, len(self.layers))
        for key, at in zip(self.layers, thresholds, strict=True):
            flat[self.path(key)] = np.abs(self.weights[self.path(key)]) > at
        for path, index, pruned in self.ties(allocation, level):
            flat[path].reshape(-1)[index] = not pruned
        return unflatten(flat)


@pytest.fixture(scope="module", params=NETWORKS)
def golden(request, shared, golden_weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    return Golden(request.param, golden_weights, shared, folder)


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_float64_embeddings(golden):
    reference = golden.arrays["embedding_f64"]
    assert np.abs(unit(golden.embedding64) - unit(reference)).max() <= 1e-12
    difference = np.abs(golden.embedding64 - reference).max()
    assert difference <= 1e-12 * np.abs(reference).max()


def test_float32_embeddings(golden):
    images = golden.backbone.preprocess(golden.rgb_images)
    check_float32(golden, golden.apply(golden.backbone.params, images))


@pytest.mark.parametrize("golden", ["arcface_iresnet18"], indirect=True)
def test_float32_embeddings_of_one_program(golden):
    images = golden.backbone.preprocess(golden.rgb_images)
    check_float32(
        golden, jax.jit(golden.backbone.apply_fn)(golden.backbone.params, images)
    )


def check_float32(golden, embedding):
    assert embedding.dtype == jnp.float32
    embedding = np.asarray(embedding, np.float64)
    reference = golden.arrays["embedding_f64"]
    assert np.abs(unit(embedding) - unit(reference)).max() <= 2e-6
    assert np.abs(embedding - reference).max() <= 1e-5 * np.abs(reference).max()


@pytest.mark.parametrize("golden", ADAFACE, indirect=True)
def test_adaface_gives_direction_and_length(golden):
    lengths = np.linalg.norm(golden.embedding64, axis=-1, keepdims=True)
    reference = golden.arrays["official_norm_f64"]
    assert np.abs(lengths / reference - 1).max() <= 1e-12
    directions = golden.arrays["official_feature_f64"]
    assert np.abs(golden.embedding64 / lengths - directions).max() <= 1e-12


def test_counts(golden):
    leaves = list(golden.weights.values())
    prunable = [golden.weights[golden.path(key)] for key in golden.layers]
    assert sum(leaf.size for leaf in leaves) == golden.manifest["num_parameters"]
    assert sum(leaf.size for leaf in prunable) == golden.manifest["num_prunable"]
    assert len(prunable) == golden.manifest["num_prunable_layers"]
    packed = pack_masks(globally(magnitude), golden.backbone.params, [0.1, 0.5])
    assert packed.sizes.keys() == {golden.path(key) for key in golden.layers}
    zeros = golden.arrays["zeros_global"].sum(-1)[[0, 2]]
    total = sum(packed.sizes.values())
    assert [round(a * total) for a in packed.achieved] == zeros.tolist()


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_masks(golden, allocation):
    mask_fn = ALLOCATIONS[allocation](magnitude)
    sparsities = golden.arrays["sparsities"].tolist()
    paths = [golden.path(key) for key in golden.layers]
    for level, mask in enumerate(mask_fn.sweep(golden.backbone.params, sparsities)):
        ours = {path: np.array(keep) for path, keep in flatten(mask).items()}
        zeros = np.array([np.sum(~ours[path]) for path in paths])
        stored = golden.arrays[f"zeros_{allocation}"][level]
        assert zeros.sum() == stored.sum()
        if allocation == "layerwise":
            assert (zeros == stored).all()
        # Equal but for the ties that torch.topk split in its own way.
        other = flatten(golden.stored_mask(allocation, level))
        for path, index, _ in golden.ties(allocation, level):
            ours[path].reshape(-1)[index] = other[path].reshape(-1)[index]
        assert ours.keys() == other.keys()
        assert all((ours[path] == other[path]).all() for path in ours)


@pytest.mark.parametrize("allocation", ALLOCATIONS)
def test_pruned_embeddings(golden, allocation):
    levels = range(len(golden.arrays["sparsities"]))
    if golden.large:
        levels = DEEP_LEVELS if golden.deep else LARGE_LEVELS
    for level in levels:
        mask = golden.stored_mask(allocation, level)
        pruned = jax.tree.map(
            lambda w, keep: np.where(keep, w, 0.0), golden.params64, mask
        )
        reference = golden.arrays[f"pruned_{allocation}_f64"][level]
        embedding = golden.apply(pruned, golden.images64)
        assert np.abs(unit(embedding) - unit(reference)).max() <= 1e-12


def masks_and_references(golden, levels):
    where = golden.arrays["sparsities"].tolist()
    for level in levels:
        sparsity = golden.arrays["jvp_sparsities"][level]
        mask = golden.stored_mask("global", where.index(sparsity))
        yield mask, golden.arrays["jvp_normalised_f64"][level]


@pytest.mark.parametrize("golden", DIFFERENTIATED, indirect=True)
def test_jvps(golden):
    @quick_jit
    def jvp(params, mask, images):
        delta = pruning_delta(params, mask)
        return embedding_jvp(golden.backbone.apply_fn, params, delta, images)[1]

    levels = range(len(golden.arrays["jvp_sparsities"]))
    chosen = LARGE_JVP_LEVELS if golden.name in RESIDUAL else levels
    for mask, reference in masks_and_references(golden, chosen):
        ours = jvp(golden.params64, mask, golden.images64)
        assert np.abs(ours - reference).max() <= 1e-11 * np.abs(reference).max()


@pytest.mark.parametrize("golden", ["arcface_iresnet18"], indirect=True)
def test_jvps_of_one_linearisation(golden):
    @quick_jit
    def jvps(params, masks, images):
        deltas = [pruning_delta(params, mask) for mask in masks]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *deltas)
        return embedding_jvps(golden.backbone.apply_fn, params, stacked, images)[1]

    masks, references = zip(*masks_and_references(golden, range(3)), strict=True)
    ours = jvps(golden.params64, masks, golden.images64)
    reference = np.stack(references)
    assert np.abs(ours - reference).max() <= 1e-11 * np.abs(reference).max()


@pytest.mark.parametrize("name", TWINS_OF_ARCFACE)
def test_networks_equal_to_arcface(name, shared, golden_weights, tmp_path):
    path = shared(f"golden/{name}.manifest.json")
    manifest = golden_weights.load_manifest(path)
    found = architecture(name)
    entries = found.entries(found.blueprint.shapes)
    keys = {entry["name"] for entry in manifest["entries"]}
    assert entries.keys() <= keys
    assert all(key.endswith(".num_batches_tracked") for key in keys - entries.keys())

    weights = official_weights(golden_weights, manifest, shared, tmp_path)
    backbone = load_backbone(name, weights)
    leaves = jax.tree.leaves(backbone.params)
    assert sum(leaf.size for leaf in leaves) == manifest["num_parameters"]
    params = jax.tree.map(lambda w: np.asarray(w, np.float64), backbone.params)
    assert backbone.preprocessing.channels == manifest["preprocessing"]["channels"]
    rgb_images = official_images(golden_weights, manifest)[:IMAGES]
    images = backbone.preprocess(rgb_images, np.float64)
    stored = np.load(shared(f"golden/{manifest['same_as']}.npz"))
    reference = stored["embedding_f64"][:IMAGES]
    embedding = np.asarray(backbone.apply_fn(params, images))
    assert np.abs(unit(embedding) - unit(reference)).max() <= 1e-12
    assert np.abs(embedding - reference).max() <= 1e-12 * np.abs(reference).max()
