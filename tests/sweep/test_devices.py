"""Eight simulated devices in a process of its own: the same rows, and no talk."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prefiqs_jax import results
from prefiqs_jax.errors import InputError

TESTS = Path(__file__).parents[1]
EIGHT_DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}


def with_eight_devices(*arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | EIGHT_DEVICES | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


@pytest.mark.slow
def test_devices_change_no_row(finished, run_sweep, pictures, tmp_path):
    runs = {
        "all": {"batch_size": 8},  # 8 and 3: fewer images than devices at the end
        "uneven": {"batch_size": 5},
        "one batch": {"batch_size": 11},
        "three": {"batch_size": 4, "devices": 3},
        "resumed": {"batch_size": 2, "devices": 8},
    }
    asked = [[str(tmp_path / name), options] for name, options in runs.items()]
    child = str(TESTS / "child_sweep.py")
    with_eight_devices(child, json.dumps({"images": str(pictures), "runs": asked}))
    expected = results.read(finished)

    (tmp_path / "resumed" / "rows" / "part-000001.parquet").unlink()
    (tmp_path / "resumed" / "rows" / "part-000004.parquet").unlink()
    run_sweep("resumed", batch_size=None)  # with this process's one device
    sessions = results.read_manifest(tmp_path / "resumed")["sessions"]
    assert [session["device"][:3] for session in sessions] == ["8 ×", "1 ×"]
    assert [session["step_size"] for session in sessions] == [8, 2]
    (three,) = results.read_manifest(tmp_path / "three")["sessions"]
    assert three["device"].startswith("3 × ")

    for name in runs:
        rows = results.read(tmp_path / name)
        assert rows.image.tolist() == expected.image.tolist()
        for column in ("first_order", "drift", "residual", "cosine"):
            assert np.abs(rows[column] - expected[column]).max() <= 1e-6


NORMALISED = """
import jax, numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from prefiqs_jax.backbones import bind, blueprint
from prefiqs_jax.backbones.networks.layers import BatchNorm

rng = np.random.default_rng(0)
plan = blueprint(lambda rngs: BatchNorm(64, rngs=rngs))
tensors = {name: rng.uniform(0.5, 2, shape).astype(np.float32)
           for name, shape in plan.shapes.items()}
params, apply_fn = bind(plan, tensors)
values = rng.normal(size=(16, 64)).astype(np.float32)

def on_devices(count):
    mesh = Mesh(np.array(jax.devices()[:count]), ("batch",))
    run = jax.jit(jax.shard_map(apply_fn, mesh=mesh, in_specs=(P(), P("batch")),
                                out_specs=P("batch"), check_vma=False))
    return np.asarray(run(jax.device_put(params, NamedSharding(mesh, P())), values))

one, eight = on_devices(1), on_devices(8)
print((one == eight).all())
"""


@pytest.mark.slow
def test_statistics_are_the_same_on_any_number_of_devices():
    """To the last bit: one beside zero makes a derivative jump."""
    assert with_eight_devices("-c", NORMALISED).split() == ["True"]


COLLECTIVES = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, PartitionSpec as P
from toy import toy_network
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.sweep.engine import compile_step, prepare
from prefiqs_jax.sweep.strategy import Strategy

WORDS = ("all-reduce", "all-gather", "all-to-all", "collective-permute",
         "reduce-scatter", "collective-broadcast")

def found(compiled):
    return [word for word in WORDS if word in compiled.as_text()]

apply_fn, params, _ = toy_network(np.float32)
problem = prepare(apply_fn, params, pack_masks(globally(magnitude), params, [0.2, 0.5]))
for strategy in (Strategy(2, 1), Strategy(1, 2, slice_size=2)):
    print(found(compile_step(problem, (32, 8, 8, 3), strategy)))

def talk(x):
    return jax.lax.psum(x, "batch")

talking = jax.shard_map(talk, mesh=problem.mesh, in_specs=P("batch"), out_specs=P())
print(found(jax.jit(talking).lower(jnp.zeros(8)).compile()))
"""


@pytest.mark.slow
def test_the_program_holds_no_collective():
    *ours, control = with_eight_devices("-c", COLLECTIVES).splitlines()
    assert ours == ["[]", "[]"]
    assert control == "['all-reduce']"  # the words are those of the compiler


@pytest.mark.parametrize("count", [0, 2])
def test_devices_that_are_not_there(run_sweep, tmp_path, count):
    with pytest.raises(InputError, match=f"{count} devices asked for.* has 1"):
        run_sweep(devices=count)
    assert not (tmp_path / "run").exists()
