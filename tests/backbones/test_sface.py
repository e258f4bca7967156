"""SFace against ONNX Runtime, and on real faces."""

import jax
import numpy as np
import pytest
from PIL import Image

from prefiqs_jax import results
from prefiqs_jax.backbones import convert_weights, load_backbone
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import globally, magnitude, mask_named
from prefiqs_jax.sensitivity import unit
from prefiqs_jax.sweep import SweepOptions, measure_images, sweep

pytestmark = pytest.mark.weights
FILE = "weights/face_recognition_sface_2021dec_int8bq.onnx"


@pytest.fixture(scope="module")
def sface(shared):
    return load_backbone("sface", shared(FILE))


@pytest.fixture(scope="module")
def lfw(shared):
    folder = read_folder(shared("faces/lfw100"))
    rgb_images = [np.asarray(Image.open(folder.root / name)) for name in folder.names]
    return folder, np.stack(rgb_images)


@pytest.fixture(scope="module")
def raw(sface, lfw):
    apply = jax.jit(sface.apply_fn)
    batches = np.split(sface.preprocess(lfw[1]), 4)
    return np.concatenate([apply(sface.params, batch) for batch in batches])


def test_equals_onnxruntime(shared, lfw, raw):
    runtime = pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    model = onnx.load(shared(FILE))
    # The file lists its weights as inputs, too; without values for some of them.
    inputs = [i for i in model.graph.input if i.name == "data"]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options)
    for rgb_image, ours in zip(lfw[1], raw, strict=True):
        pixels = rgb_image[None].transpose(0, 3, 1, 2).astype(np.float32)
        (theirs,) = session.run(None, {"data": pixels})
        assert np.abs(ours - theirs[0]).max() <= 1e-4 * np.abs(theirs).max()


def test_misses_no_mated_pair_at_fmr_1e_3(lfw, raw):
    embeddings = np.asarray(unit(raw.astype(np.float64)))
    similarity = embeddings @ embeddings.T
    people = np.array(lfw[0].identities)
    upper = np.triu(np.ones_like(similarity, bool), 1)
    same = people[:, None] == people[None]
    mated, non_mated = similarity[upper & same], similarity[upper & ~same]
    assert (len(mated), len(non_mated)) == (450, 4500)
    threshold = np.sort(non_mated)[::-1][int(1e-3 * len(non_mated))]
    assert (mated > threshold).all()


def test_spearman_on_clean_faces(sface, lfw, tmp_path):
    sparsities = [0.1, 0.4, 0.7]
    run = sweep(
        sface,
        lfw[0],
        mask_named("global/magnitude"),
        sparsities,
        tmp_path / "run",
        options=SweepOptions(progress=False),
    )
    rows = results.read(run)
    expected = [0.993, 0.939, 0.784]
    for (_, group), value in zip(rows.groupby("sparsity"), expected, strict=True):
        correlation = group.first_order.corr(group.drift, method="spearman")
        assert correlation == pytest.approx(value, abs=0.01)
    assert results.read_manifest(run)["images"]["identities"] == 10


def test_rows_do_not_depend_on_the_batch_size(sface, lfw):
    images = sface.preprocess(lfw[1][:3])
    measured = [
        measure_images(
            sface.apply_fn,
            sface.params,
            globally(magnitude),
            [0.05, 0.8],
            images,
            batch_size=size,
        )
        for size in (1, 3)
    ]
    alone, together = measured
    for column in ("first_order", "drift", "cosine", "residual"):
        assert np.abs(alone[column] - together[column]).max() <= 1e-6


def test_conversion_keeps_every_bit(sface, shared, tmp_path):
    file = tmp_path / "sface.safetensors"
    provenance = convert_weights(shared(FILE), file, "sface")
    assert provenance.sha256 == sface.provenance.sha256
    again = load_backbone(weights=file)
    assert again.name == "sface"
    assert again.preprocessing == sface.preprocessing
    assert again.provenance.source_sha256 == sface.provenance.sha256
    assert again.provenance.sha256 != sface.provenance.sha256
    same = jax.tree.map(np.array_equal, again.params, sface.params)
    assert all(jax.tree.leaves(same))
    # The same program with the same constants, so the same embeddings.
    rgb_image = sface.preprocess(np.zeros((1, 112, 112, 3), np.uint8))
    one, two = (jax.make_jaxpr(b.apply_fn)(b.params, rgb_image) for b in (sface, again))
    assert str(one) == str(two)
    for ours, theirs in zip(one.consts, two.consts, strict=True):
        assert np.array_equal(ours, theirs)
