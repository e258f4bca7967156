"""Memory that runs out, when a batch is handed over or fetched."""

import dataclasses

import jax
import numpy as np
import pytest
from toy import toy_network

from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sweep import batches
from prefiqs_jax.sweep import executor as executor_module
from prefiqs_jax.sweep.engine import prepare
from prefiqs_jax.sweep.executor import Executor
from prefiqs_jax.sweep.planner import Planner

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes."


@dataclasses.dataclass
class Device:
    """Runs out of memory in steps of more than some images, from some step on."""

    most: int
    where: str
    from_step: int = 0
    message: str = OUT_OF_MEMORY
    steps: list[int] = dataclasses.field(default_factory=list)

    def install(self, monkeypatch):
        start, fetch = executor_module.start, executor_module.fetch
        doomed = []

        def started(compiled, problem, images, size):
            self.steps.append(size)
            short = size > self.most and len(self.steps) > self.from_step
            if short and self.where == "start":
                raise jax.errors.JaxRuntimeError(self.message)
            result = start(compiled, problem, images, size)
            if short:
                doomed.append(result)
            return result

        def fetched(result, count):
            if any(result is each for each in doomed):
                raise jax.errors.JaxRuntimeError(self.message)
            return fetch(result, count)

        monkeypatch.setattr(executor_module, "start", started)
        monkeypatch.setattr(executor_module, "fetch", fetched)
        return self


@pytest.mark.parametrize("where", ["start", "fetch"])
def test_a_run_goes_on_in_half_steps(finished, run_sweep, monkeypatch, where):
    whole = results.read(finished)
    device = Device(most=2, where=where, from_step=1).install(monkeypatch)
    kept = []
    write = batches.write_table

    def noted(out, index, *rest):
        kept.append((index, len(device.steps)))
        write(out, index, *rest)

    monkeypatch.setattr("prefiqs_jax.sweep.batches.write_table", noted)
    run = run_sweep("run")
    rows = results.read(run)
    for column in ("first_order", "drift", "residual", "cosine"):
        assert np.abs(rows[column] - whole[column]).max() <= 1e-6
    # Batches of 4, 4 and 3: one whole, two that failed, and both again in halves.
    assert device.steps == [4, 4, 4, 2, 2, 2, 2] if where == "fetch" else device.steps
    assert sorted(set(device.steps)) == [2, 4]
    assert [index for index, _ in kept] == [0, 1, 2]
    assert kept[0][1] <= 3  # before anything was done again
    (session,) = results.read_manifest(run)["sessions"]
    assert session["step_size"] == 2
    assert results.read_manifest(run)["settings"]["batch_size"] == 4


@pytest.mark.slow
def test_a_run_in_small_steps_is_resumed(finished, run_sweep, monkeypatch):
    whole = results.read(finished)
    with monkeypatch.context() as patch:
        Device(most=1, where="start").install(patch)
        run = run_sweep("run")
    (run / "rows/part-000001.parquet").unlink()
    run_sweep("run", batch_size=None)
    rows = results.read(run)
    assert np.abs(rows.drift - whole.drift).max() <= 1e-6
    first, second = results.read_manifest(run)["sessions"]
    assert (first["step_size"], second["step_size"]) == (1, 4)


@pytest.mark.parametrize("where", ["start", "fetch"])
def test_not_even_one_image(run_sweep, monkeypatch, tmp_path, where):
    Device(most=0, where=where).install(monkeypatch)
    with pytest.raises(InputError, match="memory ran out with one image a device"):
        run_sweep()
    assert not list((tmp_path / "run").glob("rows/part-*"))


@pytest.mark.parametrize("where", ["start", "fetch"])
def test_other_errors_pass(run_sweep, monkeypatch, where):
    Device(most=0, where=where, message="INTERNAL: a bug").install(monkeypatch)
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL: a bug"):
        run_sweep()


def test_it_says_so_once(monkeypatch):
    Device(most=2, where="fetch").install(monkeypatch)
    apply_fn, params, images = toy_network(np.float32)
    problem = prepare(apply_fn, params, pack_masks(globally(magnitude), params, [0.5]))

    said = []
    executor = Executor(Planner(problem, (8, 8, 3), 4, say=said.append))
    pair = [executor.start(np.asarray(images[:4])) for _ in range(2)]
    assert not any(batch.steps is None for batch in pair)
    first, second = [executor.finish(batch) for batch in pair]
    assert said == ["memory ran out with 4 images at once; going on with 2"]
    assert executor.plan.step_size == 2
    assert first.dense_norm.shape == second.dense_norm.shape == (4,)
    assert (first.compared.drift == second.compared.drift).all()


@pytest.mark.slow
def test_a_step_stays_below_the_limit():
    apply_fn, params, _ = toy_network(np.float32)
    masks = pack_masks(globally(magnitude), params, [0.2, 0.5])
    problem = prepare(apply_fn, params, masks)

    def plan(limit):
        return Planner(problem, (8, 8, 3), 64, batch_size=32, memory_limit=limit).plan()

    free = plan(10**9)
    assert free.step_size == 32
    limit = free.predicted_bytes - 1
    short = plan(limit)
    assert short.predicted_bytes <= limit
    assert short.batch_size == 32
    smaller = (short.step_size, short.strategy.tangent_chunk)
    assert smaller < (free.step_size, free.strategy.tangent_chunk)
    half = plan(limit // 2)
    assert half.predicted_bytes <= limit // 2
    assert half.step_size < 32
