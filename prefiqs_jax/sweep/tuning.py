"""Measure strategies on the machine at hand, once, and remember the answer.

The answer belongs to a backend, a kind of device and a network's shapes; it stands in a
small JSON file in the cache folder, which may be deleted at any time.
"""

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import jax
import numpy as np
from numpy.typing import DTypeLike, NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.compilation import cache_folder
from prefiqs_jax.execution.memory import is_out_of_memory
from prefiqs_jax.files import make_folder, parse_json, write_text
from prefiqs_jax.sweep.engine import SweepProblem, fetch, start
from prefiqs_jax.sweep.strategy import Strategy, worth_measuring
from prefiqs_jax.version import __version__

Tune: TypeAlias = Literal["auto", "always", "never"]
TUNE = get_args(Tune)
"""``auto`` measures where the run is long enough to earn it back; what was measured
before is used in any case."""

FEWEST_STEPS = 16
"""Steps of the shortest run that measures: timing one costs at most a 16th of it."""
SHARE = 0.05
"""Share of a run's time that may go into measuring."""
GAIN = 0.03
"""A strategy must be faster by this much; less is noise."""
REPEATS = 2


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A compiled step and what it takes.

    Attributes
    ----------
    strategy
        What it was compiled for.
    per_device
        Images of one device in a step.
    compiled
        The program; None where memory ran out while it was made.
    predicted_bytes
        Peak by its own analysis.
    fits
        Whether that is within the limit.
    """

    strategy: Strategy
    per_device: int
    compiled: Any = dataclasses.field(repr=False)
    predicted_bytes: int | None
    fits: bool


@dataclasses.dataclass(frozen=True)
class Known:
    """A strategy that was measured, by this process or one before."""

    strategy: Strategy
    evidence: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Tuned:
    """The fastest candidate and why it is."""

    candidate: Candidate
    evidence: dict[str, Any]


def look_up(
    problem: SweepProblem, device_shape: tuple[int, ...], dtype: DTypeLike
) -> Known | None:
    """Find what was measured before for this network, batch and machine, if anything.

    A file that cannot be read or was made by another release is no answer.
    """
    key = _key(problem, device_shape, dtype)
    path = _file(key)
    try:
        stored = parse_json(path.read_text(encoding="utf-8")) if path else {}
        fields = [field.name for field in dataclasses.fields(Strategy)]
        strategy = Strategy(**{name: stored["strategy"][name] for name in fields})
        evidence = dict(stored["evidence"])
        same = stored["key"] == key
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not same or not strategy.divides(problem.sparsity_count, device_shape[0]):
        return None
    return Known(strategy, evidence | {"source": "measured before"})


def tune_step(
    problem: SweepProblem,
    device_shape: tuple[int, ...],
    dtype: DTypeLike,
    best: Candidate,
    *,
    steps: int,
    compile_candidate: Callable[[Strategy], Candidate],
    always: bool,
    say: Callable[[str], None],
) -> Tuned:
    """Time what is worth measuring, one question after another, and keep the answer.

    Parameters
    ----------
    problem
        Network, masks and devices.
    device_shape
        (images of one device, height, width, channels).
    dtype
        Type of the images.
    best
        The step to beat.
    steps
        Steps of the run.
    compile_candidate
        Makes a step of the same size.
    always
        Measure all, however short the run.
    say
        Gets a line before the measurement.
    """
    if not always and steps < FEWEST_STEPS:
        why = f"the run has {steps} steps; less than {FEWEST_STEPS} do not repay it"
        return Tuned(best, _unmeasured(why))
    shape = (device_shape[0] * problem.device_count, *device_shape[1:])
    images = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    try:
        seconds = {best.strategy: _seconds(problem, best, images)}
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return Tuned(best, _unmeasured("memory ran out"))  # as it will in the run
    deadline = time.monotonic() + SHARE * steps * seconds[best.strategy]
    longest = 0.0
    say("measuring which strategy is fastest here, once for this network …")
    for field, values in worth_measuring(
        problem.sparsity_count, device_shape[0]
    ).items():
        for value in values:
            strategy = dataclasses.replace(best.strategy, **{field: value})
            if strategy in seconds:
                continue
            began = time.monotonic()
            if not always and began + longest > deadline:
                if len(seconds) == 1:
                    why = "the run is too short to repay it"
                    return Tuned(best, _unmeasured(why))
                break
            candidate = compile_candidate(strategy)
            if not candidate.fits:
                continue
            try:
                seconds[strategy] = _seconds(problem, candidate, images)
            except jax.errors.JaxRuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                continue
            if seconds[strategy] < (1 - GAIN) * seconds[best.strategy]:
                best = candidate
            longest = max(longest, time.monotonic() - began)
    evidence = {
        "source": "measured in this session",
        "device_batch": device_shape[0],
        "seconds_per_step": [
            strategy.describe() | {"seconds": round(found, 4)}
            for strategy, found in seconds.items()
        ],
    }
    _remember(_key(problem, device_shape, dtype), best.strategy, evidence)
    return Tuned(best, evidence)


def _unmeasured(why: str) -> dict[str, Any]:
    return {"source": "the rule for this backend", "not_measured": why}


def _seconds(problem: SweepProblem, candidate: Candidate, images: NDArray) -> float:
    """Time a step, the first run of which only warms up."""
    found = []
    for _ in range(1 + REPEATS):
        began = time.perf_counter()
        fetch(start(candidate.compiled, problem, images, len(images)), 1)
        found.append(time.perf_counter() - began)
    return min(found[1:])


def _key(
    problem: SweepProblem, device_shape: tuple[int, ...], dtype: DTypeLike
) -> dict[str, Any]:
    shapes = [leaf.shape for leaf in (*problem.pruned_leaves, *problem.fixed_leaves)]
    device = jax.local_devices()[0]
    return {
        "release": __version__,
        "jax": jax.__version__,
        "backend": device.platform,
        "device": device.device_kind,
        "devices": problem.device_count,
        "cores": os.cpu_count(),
        "weights": hashlib.sha256(repr(shapes).encode()).hexdigest(),
        "precision": problem.precision,
        "sparsities": problem.sparsity_count,
        "images": [*device_shape, np.dtype(dtype).name],
    }


def _file(key: dict[str, Any]) -> Path | None:
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = cache_folder()
    return folder and folder / "strategies" / f"{digest[:24]}.json"


def _remember(
    key: dict[str, Any], strategy: Strategy, evidence: dict[str, Any]
) -> None:
    path = _file(key)
    if path is None:
        return
    stored = {"key": key, "strategy": strategy.describe(), "evidence": evidence}
    try:
        make_folder(path.parent)
        write_text(path, json.dumps(stored, indent=1) + "\n")
    except InputError:
        # A cache that cannot be written costs the next run its measurement, no more.
        return
