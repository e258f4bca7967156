"""Verification with pruned networks: embeddings, errors, and what is kept of them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from benchmarks.benchmark_writers import bin_pictures, python2_pickle
from PIL import Image

from prefiqs_jax.benchmarks import read_benchmark
from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation import Verifier
from prefiqs_jax.evaluation.measure import read_measured
from prefiqs_jax.evaluation.pruned import accuracy_with_interval
from prefiqs_jax.fiqa import (
    Pairs,
    accuracy,
    accuracy_interval,
    all_pairs,
    equal_error_rate,
    fold_accuracies,
    operating_point,
    pair_similarity,
)
from prefiqs_jax.images import load_batches
from prefiqs_jax.masks import globally, mask_named, pruning_delta

LEVELS = (0.3, 0.8)


@pytest.fixture
def verify(run):
    """Verify with pruned networks, too; the qualities cost next to nothing."""

    def verify(out="out", **options):
        given = {"methods": ("norm",), "sparsities": LEVELS, "verify_pruned": True}
        return run(out, **given | options)

    return verify


def table(path, name="pruned_verification") -> Any:
    return pd.read_csv(path / "tables" / f"{name}.csv")


@pytest.mark.slow
def test_embeddings_are_those_of_the_weights_that_are_left(
    verify, network, people, tmp_path
):
    verify(flip=True, replicates=0)
    backbone, folder = network(), read_benchmark(people).images
    (batch,) = load_batches(folder, height=14, width=14, batch_size=64)
    images = backbone.preprocess(batch.pixels)
    mask = mask_named("global/magnitude")
    found = table(tmp_path / "out")
    for sparsity in LEVELS:
        delta = pruning_delta(backbone.params, mask(backbone.params, sparsity))
        params = jax.tree.map(np.add, backbone.params, delta)
        halves = [
            np.asarray(backbone.apply_fn(params, half), np.float64)
            for half in (images, images[:, :, ::-1])
        ]
        unit = [half / np.linalg.norm(half, axis=1, keepdims=True) for half in halves]
        own = read_measured(tmp_path / "out/pruned/faces/toy" / f"{sparsity:g}")
        assert own.names == folder.names
        np.testing.assert_allclose(own.embeddings, np.hstack(unit), atol=1e-5)
        pairs = all_pairs(own.embeddings, np.array(folder.identities, str))
        (row,) = found[found["sparsity"] == sparsity].to_dict("records")
        assert row["eer"] == equal_error_rate(pairs.similarity, pairs.mated)
        point = operating_point(pairs.similarity, pairs.mated, 0.1)
        assert row["fnmr"] == point.fnmr
        assert row["achieved_fmr"] == point.achieved_fmr
        assert row["achieved_sparsity"] == pytest.approx(sparsity, abs=1e-3)


@pytest.mark.slow
def test_without_pruning_it_is_the_verification(verify, network, tmp_path):
    others = [Verifier(network()), Verifier(network(1, "other"), scores=False)]
    lines, page = verify(verifiers=others, fmr=(0.1, 0.2), sparsities=(0.0, 0.8))
    found = table(tmp_path / "out")
    dense = found[found["sparsity"] == 0].reset_index(drop=True)
    known = table(tmp_path / "out", "verification")
    shared = [name for name in known if name != "tells"]
    pd.testing.assert_frame_equal(dense[shared], known[shared], check_exact=True)
    assert found[["verifier", "sparsity", "fmr"]].values.tolist() == [
        [name, level, fmr]
        for name in ("toy", "other")
        for level in (0, 0.8)
        for fmr in (0.1, 0.2)
    ]
    assert np.isnan(found["accuracy"].to_numpy()).all()  # all pairs have no folds
    assert found["tells"].all()
    assert (dense["difference"] == 0).all()
    assert dense["difference_low"].isna().all()
    pruned = found[found["sparsity"] > 0]
    rates = found.pivot(index=["verifier", "fmr"], columns="sparsity", values="fnmr")
    change = (rates[0.8] - rates[0.0]).loc[["toy", "other"]]
    np.testing.assert_allclose(pruned["difference"], change, atol=1e-15)
    assert (pruned["low"] <= pruned["fnmr"]).all()
    assert (pruned["fnmr"] <= pruned["high"]).all()
    assert (pruned["difference_low"] < pruned["difference_high"]).all()
    assert any(line.startswith("faces, toy pruned by global/magn") for line in lines)
    assert 'id="pruned"' in page.read_text()


@pytest.fixture
def counted(monkeypatch):
    """Count the images of each batch that is loaded."""
    taken = []

    def load(*arguments, **options):
        for batch in load_batches(*arguments, **options):
            taken.append((options["needed_by"], batch.index))
            yield batch

    monkeypatch.setattr("prefiqs_jax.evaluation.measure.load_batches", load)
    return taken


@pytest.mark.slow
def test_a_killed_evaluation_goes_on(verify, tmp_path, counted):
    verify(replicates=0)
    # Three batches, each once by the network and once by each pruned copy.
    assert len(counted) == len(set(counted)) == 3 * (1 + len(LEVELS))
    before = table(tmp_path / "out")
    part = tmp_path / "out/pruned/faces/toy/0.8/rows/part-000001.parquet"
    part.unlink()
    counted.clear()
    verify(replicates=0)
    assert counted == [("toy, global/magnitude 0.8", 1)]
    pd.testing.assert_frame_equal(table(tmp_path / "out"), before)
    counted.clear()
    verify(replicates=0, sparsities=(0.3, 0.5, 0.8))  # one more
    assert {who for who, _ in counted} == {"toy, global/magnitude 0.5"}


def test_another_mask_is_refused(verify):
    def mine(name, weights):
        return np.abs(weights)

    def other(name, weights):
        return -np.abs(weights)

    other.__name__ = "mine"
    verify(replicates=0, mask=globally(mine))
    with pytest.raises(InputError, match="was made with other masks"):
        verify(replicates=0, mask=globally(other))
    with pytest.raises(InputError, match="mask global/mine, not global/random"):
        verify(replicates=0, mask="global/random")


def test_a_list_of_pairs_has_an_accuracy(verify, tmp_path):
    pictures, labels = bin_pictures(comparisons=24, size=14)
    (tmp_path / "mine.bin").write_bytes(python2_pickle(pictures, labels))
    benchmark = read_benchmark(tmp_path / "mine.bin")
    lines, page = verify(benchmarks=[benchmark], replicates=0)
    every = table(tmp_path / "out").set_index("sparsity")
    found = every["accuracy"]
    # Who is on a .bin file's pictures is not known.
    assert every[["accuracy_low", "accuracy_high"]].isna().all(axis=None)
    comparisons = benchmark.comparisons
    assert comparisons is not None
    first, second, mated = comparisons
    for place, level in (("measured/mine/toy", 0), ("pruned/mine/toy/0.8", 0.8)):
        own = read_measured(tmp_path / "out" / place)
        similarity = pair_similarity(own.embeddings, first, second)
        assert found[level] == accuracy(similarity, mated)
    assert f"accuracy {100 * found[0]:.2f} % unpruned" in lines[-1]
    assert ">Accuracy<" in page.read_text()


def test_an_accuracy_has_an_interval_where_nobody_is_in_two_folds():
    fold, rng = np.arange(10)[:, None], np.random.default_rng(0)
    # Two people a fold, of two images each: their mated pairs, two of both people.
    first = (4 * fold + [0, 2, 0, 1]).ravel()
    second = (4 * fold + [1, 3, 2, 3]).ravel()
    mated = np.tile([True, True, False, False], 10)
    similarity = rng.normal(size=40) + mated
    pairs = Pairs(first, second, similarity, mated)
    who = np.repeat(np.arange(20), 2).astype(str)
    rates = fold_accuracies(similarity, mated)
    low, high = accuracy_interval(rates)
    want = {"accuracy": rates.mean(), "accuracy_low": low, "accuracy_high": high}
    assert accuracy_with_interval(pairs, who) == want
    unknown = want | {"accuracy_low": np.nan, "accuracy_high": np.nan}
    again = np.where(who == "19", "0", who)  # in the first and in the last fold
    for people in (again, None):
        np.testing.assert_equal(accuracy_with_interval(pairs, people), unknown)
    few = Pairs(*(column[:9] for column in pairs))
    assert np.isnan(list(accuracy_with_interval(few, who).values())).all()


@pytest.mark.slow
def test_an_image_that_only_pruning_loses(verify, network, people, tmp_path):
    dense = network()

    def apply_fn(params, images):
        lost = (images <= -1).all(axis=(1, 2, 3)) & (params["fc"]["kernel"] == 0).any()
        return jnp.where(lost[:, None], jnp.nan, dense.apply_fn(params, images))

    verifiers = [Verifier(dataclasses.replace(dense, apply_fn=apply_fn))]
    Image.new("RGB", (14, 14)).save(people / "person_05/0.png")
    with pytest.raises(InputError, match=r"person_05/0\.png"):
        verify("fail", verifiers=verifiers)
    verify(verifiers=verifiers, on_bad_image="skip")
    found = table(tmp_path / "out")
    assert found["mated_count"].tolist() == [12 * 6] + [12 * 6 - 3] * 2
    # Errors of other comparisons are not compared.
    assert found["difference"].isna().tolist() == [False, True, True]
    left_out = table(tmp_path / "out", "left_out")["image"].tolist()
    assert left_out == [
        f"faces, toy at sparsity {level}: person_05/0.png" for level in LEVELS
    ]


def test_a_dead_network_guesses(verify, tmp_path, capsys):
    def dead(params, sparsity):
        return jax.tree.map(lambda w: np.full(w.shape, w.ndim < 2), params)

    verify(mask=dead, sparsities=(0.9,), replicates=0)
    row = table(tmp_path / "out").set_index("sparsity").loc[0.9]
    assert (row["achieved_sparsity"], row["eer"], row["fnmr"]) == (1, 0.5, 1)
    told = "at sparsity 0.9: all images have one embedding, but for rounding"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sparsities", "message"),
    [
        ((), "no sparsity above 0 is given"),
        ((0.0,), "no sparsity above 0 is given"),
        ((0.4, 0.4), "give at least one, each once"),
    ],
)
def test_nothing_to_prune(verify, tmp_path, sparsities, message):
    with pytest.raises(InputError, match=message):
        verify(sparsities=sparsities)
    assert not (tmp_path / "out").exists()
