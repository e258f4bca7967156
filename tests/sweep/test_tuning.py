"""What is measured, what is remembered, and what is compiled only once."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from toy import toy_network

from prefiqs_jax import results
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sweep import tuning
from prefiqs_jax.sweep.engine import compile_step, prepare
from prefiqs_jax.sweep.planner import Planner
from prefiqs_jax.sweep.strategy import Strategy

OUT_OF_MEMORY = "RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes."
TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """Give every test a cache folder of its own."""
    monkeypatch.setenv("PREFIQS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "strategies"


@pytest.fixture
def evidence_of(run_sweep):
    def run(out, **options):
        path = run_sweep(out, batch_size=8, **options)
        (session,) = results.read_manifest(path)["sessions"]
        return session["strategy_evidence"], Strategy(**session["strategy"])

    return run


@pytest.fixture(scope="module")
def problem():
    apply_fn, params, _ = toy_network(np.float32)
    masks = pack_masks(globally(magnitude), params, [0.2, 0.4, 0.6])
    return prepare(apply_fn, params, masks)


@pytest.fixture(scope="module")
def compiled_once(problem):
    """Compile each step of the problem once: what is chosen is tested, not how."""
    compiled = functools.cache(functools.partial(compile_step, problem))

    def compile_for(asked, *step):
        assert asked is problem
        return compiled(*step)

    return compile_for


@pytest.fixture
def plan(problem, compiled_once, monkeypatch):
    monkeypatch.setattr("prefiqs_jax.sweep.planner.compile_step", compiled_once)

    def run(image_count, **options):
        return Planner(problem, (8, 8, 3), image_count, batch_size=8, **options).plan()

    return run


@pytest.fixture
def clock(monkeypatch):
    """Tell the times of strategies instead of taking them; list what was timed."""
    timed = []

    def seconds(problem, candidate, images):
        timed.append(candidate.strategy)
        return 0.5 if candidate.strategy.slice_size == 4 else 1.0

    monkeypatch.setattr(tuning, "_seconds", seconds)
    return timed


@pytest.mark.slow
def test_always_measures_and_says_what(evidence_of, cache):
    evidence, chosen = evidence_of("run", tune="always")
    assert evidence["source"] == "measured in this session"
    found = {
        entry["slice_size"]: entry["seconds"] for entry in evidence["seconds_per_step"]
    }
    assert set(found) == {None, 4}
    assert all(seconds >= 0 for seconds in found.values())
    assert found[chosen.slice_size] <= min(found.values()) / (1 - tuning.GAIN) + 1e-4
    (file,) = cache.iterdir()
    assert json.loads(file.read_text())["strategy"] == chosen.describe()


@pytest.mark.slow
def test_what_was_measured_is_not_measured_again(evidence_of, monkeypatch):
    first, chosen = evidence_of("run", tune="always")

    def refuse(*arguments):
        raise AssertionError

    monkeypatch.setattr(tuning, "_seconds", refuse)
    for tune in ("always", "auto", "never"):
        again, strategy = evidence_of(tune, tune=tune)
        assert again == first | {"source": "measured before"}
        assert strategy == chosen


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage",
    [
        lambda stored: "{",
        lambda stored: "[]",
        lambda stored: json.dumps(stored | {"strategy": {"speed": 9}}),
        lambda stored: json.dumps(stored | {"key": stored["key"] | {"release": "0"}}),
        lambda stored: json.dumps({"strategy": stored["strategy"], "evidence": {}}),
        lambda stored: "[" * 10**6,
        *(
            lambda stored, field=field, value=value: json.dumps(
                stored | {"strategy": stored["strategy"] | {field: value}}
            )
            for field in ("tangent_chunk", "pruned_chunk", "slice_size")
            for value in (0, -1, 7, "1", True, 1.0)
        ),
        lambda stored: json.dumps(stored | {"strategy": {"tangent_chunk": 1}}),
    ],
)
def test_a_damaged_file_is_measured_again(plan, clock, cache, damage):
    chosen = plan(8, tune="always").strategy
    (file,) = cache.iterdir()
    file.write_text(damage(json.loads(file.read_text())))
    clock.clear()
    again = plan(8, tune="always")
    assert clock
    assert again.strategy == chosen
    assert again.evidence["source"] == "measured in this session"
    assert plan(8).evidence["source"] == "measured before"


@pytest.mark.slow
def test_a_cache_that_cannot_be_written(plan, clock, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("PREFIQS_CACHE", str(tmp_path / "file"))
    assert plan(8, tune="always").evidence["source"] == "measured in this session"
    assert plan(8).evidence["source"] == "the rule for this backend"


def test_auto_measures_where_it_pays(plan, clock):
    short = plan(8 * (tuning.FEWEST_STEPS - 1), tune="auto")
    assert "steps; less than" in short.evidence["not_measured"]
    assert not clock
    long = plan(8 * 1000, tune="auto")
    assert long.strategy.slice_size == 4  # by the clock's word
    assert Strategy() in clock


def test_auto_ends_when_its_time_is_up(plan, clock, monkeypatch):
    monkeypatch.setattr(tuning, "SHARE", -1)
    found = plan(8 * 1000, tune="auto")
    assert found.evidence["not_measured"] == "the run is too short to repay it"
    assert len(clock) == 1


@pytest.mark.slow
def test_what_was_measured_for_a_smaller_step_is_found_again(plan, clock):
    limit = plan(8, memory_limit=10**9).predicted_bytes - 1
    small = plan(8, memory_limit=limit, tune="always")
    assert small.step_size < 8
    clock.clear()
    again = plan(8, memory_limit=limit, tune="always")
    assert not clock
    assert again.strategy == small.strategy
    assert again.evidence["source"] == "measured before"


@pytest.mark.parametrize("of_the_step_itself", [True, False])
def test_memory_that_runs_out_while_measuring(plan, monkeypatch, of_the_step_itself):
    rule = plan(8).strategy

    def short(problem, candidate, images):
        if (candidate.strategy == rule) == of_the_step_itself:
            raise jax.errors.JaxRuntimeError(OUT_OF_MEMORY)
        return 1.0

    monkeypatch.setattr(tuning, "_seconds", short)
    found = plan(8, tune="always")
    assert found.strategy == rule
    if of_the_step_itself:  # the run will take smaller ones
        assert found.evidence["not_measured"] == "memory ran out"
    else:
        (measured,) = found.evidence["seconds_per_step"]
        assert measured["slice_size"] == rule.slice_size


PROGRAMS = """
import sys
import jax
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
from child_sweep import main
assert main(sys.argv[1], [(sys.argv[2], {"batch_size": 4})]) == 0
for kind in ("hits", "misses"):
    print(events.count(f"/jax/compilation_cache/cache_{kind}"))
"""


@pytest.mark.slow
def test_another_process_compiles_nothing(pictures, tmp_path):
    environment = os.environ | {
        "PYTHONPATH": str(TESTS),
        "PREFIQS_CACHE": str(tmp_path / "kept"),
        # Those of the toy take less than the second from which they are kept.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    counts = []
    for out in ("one", "two"):
        told = subprocess.run(
            [sys.executable, "-c", PROGRAMS, str(pictures), str(tmp_path / out)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        counts.append([int(line) for line in told.split()])
    (_, first_misses), (second_hits, second_misses) = counts
    assert first_misses > 0
    assert second_misses == 0
    assert second_hits > 0
