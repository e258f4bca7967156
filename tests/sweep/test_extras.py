"""What a sweep measures on request, against the plain functions, and in a run."""

import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest
from toy import toy_backbone

import prefiqs_jax
from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import load_batches, read_folder
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.results import EXTRAS
from prefiqs_jax.results.schema import NODES, PROBES, SCALES
from prefiqs_jax.sensitivity import (
    CONTROLS,
    control_directions,
    control_responses,
    drift,
    embedding_jvp,
    expected_squared_drift,
    kink_split,
    largest_valid,
    layer_contributions,
    metric_trace,
    near_kinks,
    norms,
    partial_sums,
    path_integral,
    pixel_gradient,
    predicted_error,
    predicted_flips,
    remainders,
    sign_flips,
    taylor,
)
from prefiqs_jax.sweep.directions import REPLICATES, SEED
from prefiqs_jax.sweep.engine import compile_step, fetch, prepare, start
from prefiqs_jax.sweep.extras import NONE, plan_extras
from prefiqs_jax.sweep.strategy import Strategy

SPARSITIES = [0.2, 0.6]
SPARSITIES_OF_RUNS = [0.1, 0.3, 0.5]  # as in conftest
ALL = tuple(EXTRAS)


def plan(words, network, packed):
    return plan_extras(
        words, "toy", network.apply_fn, network.params, packed, (8, 8, 3)
    )


def measure(network, packed, extras, images, strategy):
    problem = prepare(network.apply_fn, network.params, packed, extras=extras)
    compiled = compile_step(problem, images.shape, strategy, np.float64)
    return fetch(start(compiled, problem, images, 4), 4)


@pytest.fixture(scope="module")
def measured():
    """Measure a toy in float64, and give what the plain functions need."""
    network = toy_backbone(np.float64)
    images = np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3))
    packed = pack_masks(globally(magnitude), network.params, SPARSITIES)
    extras = plan(ALL, network, packed)
    return network, images, extras, measure(network, packed, extras, images, Strategy())


def each(measured):
    """Yield index, direction and real displacement of each sparsity."""
    network, images, _, _ = measured
    for index, sparsity in enumerate(SPARSITIES):
        mask = globally(magnitude)(network.params, sparsity)
        delta = pruning_delta(network.params, mask)
        moved = prefiqs_jax.sensitivity.displacement(
            network.apply_fn, network.params, delta, images
        )
        yield index, (network.apply_fn, network.params, delta, images), moved


def close(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() < 1e-12


@pytest.mark.slow
def test_in_slices(measured):
    """The same numbers, a tenth as far off as the plain functions below may be."""
    network, images, extras, whole = measured
    packed = pack_masks(globally(magnitude), network.params, SPARSITIES)
    found = measure(network, packed, extras, images, Strategy(slice_size=2))
    assert found.extras.keys() == whole.extras.keys()
    pairs = [*zip(found.compared, whole.compared, strict=True)]
    pairs += [(found.extras[name], whole.extras[name]) for name in whole.extras]
    for ours, theirs in pairs:
        assert (np.abs(ours - theirs) <= 1e-13 * np.maximum(1, np.abs(theirs))).all()


@pytest.mark.slow
def test_series(measured):
    for index, arguments, moved in each(measured):
        coefficients = taylor(*arguments, order=3)
        sums, ours = partial_sums(coefficients, moved), measured[3].extras
        assert close(measured[3].compared.first_order[index], sums.norm[0])
        for place, name in ((1, "second"), (2, "third")):
            assert close(ours[f"{name}_order"][index], sums.norm[place])
            assert close(ours[f"{name}_order_residual"][index], sums.residual[place])
        error = predicted_error(coefficients)
        assert close(ours["predicted_error"][index] / np.asarray(error), 1)


@pytest.mark.slow
def test_kinks(measured):
    network, images, extras, found = measured
    ours = found.extras
    for index, arguments, _ in each(measured):
        _, params, delta, _ = arguments
        split = kink_split(*arguments)
        assert close(ours["smooth_residual"][index], norms(split.smooth))
        assert close(ours["kink_residual"][index], norms(split.kinks))
        activations = network.activations_fn
        flips = sign_flips(activations, params, delta, images)
        predicted = predicted_flips(activations, params, delta, images)
        assert extras.labels["kinks"] == tuple(flips)
        for place, name in enumerate(extras.labels["kinks"]):
            assert close(ours["kinks.flips"][index, place], flips[name])
            counts = ours["kinks.predicted_flips"][index, place]
            assert close(counts, predicted[name])
        assert close(ours["flips"][index], sum(flips.values()))
        assert ours["flips"][index].min() > 0
        assert close(ours["predicted_flips"][index], sum(predicted.values()))
        near = near_kinks(activations, params, images)
        assert close(ours["near_kinks"][index], sum(near.values()))


@pytest.mark.slow
def test_layers_sum_to_the_first_order(measured):
    _, _, extras, found = measured
    ours = found.extras["layers.contribution"]
    assert extras.labels["layers"] == ("conv1/kernel", "depthwise/kernel", "fc/kernel")
    for index, arguments, _ in each(measured):
        contributions = layer_contributions(*arguments)
        for place, name in enumerate(extras.labels["layers"]):
            assert close(ours[index, place], contributions[name])
        assert close(ours[index].sum(axis=0), found.compared.first_order[index])


@pytest.mark.parametrize("reversed_too", [False, True])
def test_layers_alone_leave_the_rest_as_it_is(reversed_too):
    """First order and drift come of the layers' own pass where no other is needed."""
    network = toy_backbone(np.float64)
    images = np.random.default_rng(1).uniform(-1, 1, (4, 8, 8, 3))
    packed = pack_masks(globally(magnitude), network.params, SPARSITIES)
    extras = dataclasses.replace(
        plan(["layers"], network, packed),
        reverse_fn=network.apply_fn if reversed_too else None,
    )
    plain, ours = (
        measure(network, packed, each, images, Strategy()) for each in (NONE, extras)
    )
    assert close(ours.dense_norm, plain.dense_norm)
    assert close(ours.pruned_norm, plain.pruned_norm)
    for mine, theirs in zip(ours.compared, plain.compared, strict=True):
        assert close(mine, theirs)
    total = ours.extras["layers.contribution"].sum(axis=1)
    assert close(total, plain.compared.first_order)


@pytest.mark.slow
def test_each_of_many_layers_has_its_own_contribution():
    """From the eleventh leaf on, names of places are not in the order of numbers."""
    rng = np.random.default_rng(2)
    names = [f"layer{place:02d}" for place in range(12)]
    params = {name: jax.numpy.array(rng.normal(0, 0.5, (6, 6))) for name in names}

    def apply_fn(params, images):
        x = images.reshape(len(images), -1)[:, :6]
        return jax.numpy.stack([x @ params[name] for name in names]).sum(axis=0)

    images = rng.uniform(-1, 1, (2, 8, 8, 3))
    packed = pack_masks(globally(magnitude), params, [0.5])
    extras = plan_extras(["layers"], "deep", apply_fn, params, packed, (8, 8, 3))
    assert extras.labels["layers"] == tuple(names)
    problem = prepare(apply_fn, params, packed, extras=extras)
    compiled = compile_step(problem, images.shape, Strategy(), np.float64)
    ours = fetch(start(compiled, problem, images, 2), 2).extras["layers.contribution"]
    delta = pruning_delta(params, globally(magnitude)(params, 0.5))
    expected = layer_contributions(apply_fn, params, delta, images)
    for place, name in enumerate(names):
        assert close(ours[0, place], expected[name])


@pytest.mark.slow
def test_controls(measured):
    _, images, extras, found = measured
    for index, (apply_fn, params, delta, _), _ in each(measured):
        leaves, structure = jax.tree.flatten(params)
        changes = jax.tree.leaves(delta)
        places = [i for i, change in enumerate(changes) if np.any(change)]

        def build(some, leaves=leaves, structure=structure, places=places):
            every = list(leaves)
            for i, leaf in zip(places, some, strict=True):
                every[i] = leaf
            return structure.unflatten(every)

        key = jax.random.fold_in(jax.random.key(SEED), index)
        responses = control_responses(
            lambda some, x, f=apply_fn, build=build: f(build(some), x),
            [leaves[i] for i in places],
            [changes[i] for i in places],
            images,
            CONTROLS,
            REPLICATES,
            key,
        )
        for name in ("first_order", "drift", "cosine", "residual"):
            every = [getattr(responses[kind], name) for kind in CONTROLS]
            ours = found.extras[f"controls.{name}"][index]
            assert len(ours) == len(extras.labels["controls"])
            assert close(ours, np.concatenate(every))


def of_pruned_leaves(params, delta, apply_fn):
    """Give the network as a function of the leaves that are pruned, these, and δ."""
    leaves, structure = jax.tree.flatten(params)
    changes = jax.tree.leaves(delta)
    places = [i for i, change in enumerate(changes) if np.any(change)]

    def run(some, x):
        every = list(leaves)
        for i, leaf in zip(places, some, strict=True):
            every[i] = leaf
        return apply_fn(structure.unflatten(every), x)

    return run, [leaves[i] for i in places], [changes[i] for i in places]


@pytest.mark.slow
def test_validity_and_path(measured):
    ours = measured[3].extras
    for index, (apply_fn, params, delta, images), moved in each(measured):
        left = remainders(apply_fn, params, delta, images, np.array(SCALES), 1)
        far = [
            drift(apply_fn, params, jax.tree.map(lambda d, t=t: t * d, delta), images)
            for t in SCALES
        ]
        assert close(ours["slope"][index], np.log2(left[-1] / left[-2]))
        valid = largest_valid(SCALES, np.asarray(left / np.stack(far)), 0.1)
        assert close(ours["valid_t"][index], valid)
        assert np.any((valid > 0) & (valid < 1))
        # So tolerant that one panel of as many nodes does.
        path = path_integral(apply_fn, params, delta, images, 1e6)
        assert (path.panels, NODES) == (1, 8)
        assert close(ours["path_length"][index], path.length)
        error = norms(path.displacement - moved)
        assert close(ours["path_error"][index], error)
        assert np.all(ours["path_length"][index] > norms(moved) - error)


@pytest.mark.slow
def test_expectations_and_pixels(measured):
    ours, key = measured[3].extras, jax.random.key(SEED)
    for index, (apply_fn, params, delta, images), _ in each(measured):
        run, leaves, changes = of_pruned_leaves(params, delta, apply_fn)
        found = expected_squared_drift(
            run,
            leaves,
            control_directions("gaussian", leaves, changes),
            images,
            probes=PROBES,
            key=jax.random.fold_in(key, index),
        )
        assert close(ours["expected_drift"][index] ** 2, found.value)
        error = 2 * ours["expected_drift"][index] * ours["expected_drift_error"][index]
        assert close(error, found.standard_error)
        exact = expected_squared_drift(
            run, leaves, control_directions("gaussian", leaves, changes), images
        )
        off = (found.value - exact.value) / found.standard_error
        assert np.abs(off).max() < 6  # of 8 probes
        trace = metric_trace(run, leaves, images, key, PROBES, lambda *_: True)
        assert close(ours["metric_trace"][index] / trace.value, 1)
        assert close(ours["metric_trace_error"][index] / trace.standard_error, 1)
        gradient = pixel_gradient(apply_fn, params, delta, images)
        size = norms(gradient.reshape(len(images), -1))
        assert close(ours["pixel_gradient"][index], size)
        _, jvp = embedding_jvp(apply_fn, params, delta, images)
        along = gradient / size[:, None, None, None]
        _, there = embedding_jvp(apply_fn, params, delta, images + 1e-7 * along)
        slope = (norms(there) - norms(jvp)) / 1e-7
        assert np.abs(slope / size - 1).max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [["taylor2"], ["layers", "kinks"], ["controls"], ["path"], ["metric", "pixels"]],
)
def test_each_alone_gives_the_same(measured, words):
    network, images, _, every = measured
    packed = pack_masks(globally(magnitude), network.params, SPARSITIES)
    extras = plan(words, network, packed)
    found = measure(network, packed, extras, images, Strategy())
    assert set(found.extras) == {*extras.columns, *extras.lists} != set()
    for name, values in found.extras.items():
        assert close(values, every.extras[name])


@pytest.mark.slow
def test_a_run(finished, run_sweep, pictures):
    first_batch = read_folder(pictures).names[:4]
    for name in first_batch:
        (pictures / name).write_bytes(b"no image")
    skip = {"on_bad_image": "skip"}
    words = [word for word in reversed(EXTRAS) if word != ALL[0]]
    run = run_sweep("run", extras=words, **skip)
    plain = results.read(finished)
    plain = plain.loc[~plain["image"].isin(first_batch)].reset_index(drop=True)
    rows = results.read(run)
    assert len(set(rows["image"])) == 7
    assert list(rows.columns) == [*plain.columns, *sum(EXTRAS.values(), ())]
    for column in ("first_order", "drift", "residual", "cosine"):
        assert np.abs(rows[column] - plain[column]).max() < 1e-5
    layers = results.read(run, "layers")
    assert len(layers) == 3 * len(rows)
    sums = layers["contribution"].to_numpy().reshape(-1, 3).sum(axis=1)
    assert np.abs(sums / rows["first_order"].to_numpy() - 1).max() < 1e-4
    kinks = results.read(run, "kinks")
    assert np.array_equal(kinks["flips"], rows["flips"])  # the toy has one activation
    assert kinks["flips"].to_numpy().max() > 0
    controls = results.read(run, "controls")
    assert len(controls) == len(rows) * (4 * REPLICATES + 1)
    assert set(controls["control"].str.partition("/")[0]) == set(CONTROLS)
    manifest = results.read_manifest(run)
    assert manifest["settings"]["with"] == list(EXTRAS)
    with pytest.raises(InputError, match=r"no table 'layers' \(it has none\)"):
        results.read(finished, "layers")
    for extras in ((), ["taylor2"], ["taylor2", "kinks"]):
        with pytest.raises(InputError, match="other measurements on request: with "):
            run_sweep("run", extras=extras, **skip)
    before = {p.name: p.stat().st_mtime_ns for p in run.glob("rows/part-*")}
    (run / "rows/part-000001.parquet").unlink()
    run_sweep("run", extras=EXTRAS, **skip)
    again = results.read(run)
    pd.testing.assert_frame_equal(again, rows, check_exact=True)
    after = {p.name: p.stat().st_mtime_ns for p in run.glob("rows/part-*")}
    assert {name for name in before if before[name] != after[name]} == {
        "part-000001.parquet"
    }


def test_words_that_mean_nothing(run_sweep, tmp_path):
    with pytest.raises(InputError, match=r"unknown measurement 'kink'; did you mean"):
        run_sweep("run", extras=["kink"])
    network = prefiqs_jax.from_function(
        lambda p, x: jax.nn.gelu(x.reshape(len(x), -1) @ p["fc"]),
        {"fc": np.ones((192, 4), np.float32)},
        (8, 8, 3),
        "smooth",
    )
    with pytest.raises(InputError, match=r"smooth has no kinks: .*leave kinks out"):
        run_sweep("run", backbone=network, extras=["kinks"])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_double_precision(finished, run_sweep, backbone, pictures):
    single = results.read(finished)
    run = run_sweep("double", precision="double", extras=["taylor2"])
    double = results.read(run)
    assert results.read_manifest(run)["settings"]["precision"] == "double"
    (images,) = (
        batch.images
        for batch in load_batches(
            read_folder(pictures),
            height=8,
            width=8,
            batch_size=11,
            needed_by="toy",
            transform=backbone.preprocess,
        )
    )
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), backbone.params)
    assert images is not None
    for sparsity in SPARSITIES_OF_RUNS:
        rows = double.loc[double["sparsity"] == sparsity]
        delta = pruning_delta(params, globally(magnitude)(backbone.params, sparsity))
        exact = drift(backbone.apply_fn, params, delta, images.astype(np.float64))
        off = [
            np.abs(found["drift"].to_numpy() / np.asarray(exact) - 1).max()
            for found in (rows, single.loc[single["sparsity"] == sparsity])
        ]
        assert off[0] < 1e-12 < 1e-9 < off[1]


def test_arrays_in_memory():
    network = toy_backbone()
    images = np.random.default_rng(1).uniform(-1, 1, (3, 8, 8, 3)).astype(np.float32)
    frame = prefiqs_jax.sweep_arrays(
        network, images, "global/magnitude", SPARSITIES, extras=["layers", "taylor2"]
    )
    for first, layers in zip(
        frame["first_order"], frame["layers.contribution"], strict=True
    ):
        assert list(layers) == ["conv1/kernel", "depthwise/kernel", "fc/kernel"]
        assert abs(sum(layers.values()) / first - 1) < 1e-5
    left = frame["second_order_residual"].to_numpy() / frame["residual"].to_numpy()
    assert (left < 1).mean() > 0.8
