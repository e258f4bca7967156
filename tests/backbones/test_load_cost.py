"""Time and memory of loading and converting the largest common network.

Each case is a process of its own, whose memory nothing else moves, forked from one that
has imported everything and computed nothing. The limits: 15 seconds of one core, and
three times the bytes of the weights beyond what the process holds before, with what it
reads mapped from the file counted in.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mxnet_writer import write_params

from prefiqs_jax.backbones.zoo import architecture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="peaks are read from Linux"
    ),
]
PARAMETERS = 65_156_160
MAX_SECONDS = 15
MAX_COPIES = 3
MEASURE = r"""
import os, re, sys, time
from pathlib import Path
import jax, jax.numpy as jnp, onnx, safetensors
from prefiqs_jax.backbones import convert_weights, load_backbone
name, source, destination, *cases = sys.argv[1:]
if source.endswith((".pth", ".ckpt")):
    import torch
def memory(kind):
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(kind + r":\s+(\d+) kB", text)[1])
def measure(case):
    jnp.zeros(3).block_until_ready()
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: "backend_compile" in event and compiled.append(event)
    )
    before, start = memory("VmRSS"), time.process_time()
    if case == "convert":
        convert_weights(source, destination, name)
    else:
        file = source if case == "load" else destination
        jax.block_until_ready(load_backbone(name, file).params)
    seconds = time.process_time() - start
    print(seconds, memory("VmHWM") - before, len(compiled), flush=True)
for case in cases:
    child = os.fork()
    if not child:
        measure(case)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(f"{case} ended early")
"""


@pytest.fixture(scope="module")
def arrays():
    """Give random weights by MXNet's and PyTorch's names."""
    rng = np.random.default_rng(0)
    found = {}
    for name in ("mxnet_iresnet100", "arcface_iresnet100"):
        kind = architecture(name)
        entries = kind.entries(kind.blueprint.shapes)
        found[name] = {
            key: rng.random(entry.shape, np.float32) for key, entry in entries.items()
        }
    return found


def write(path, arrays):
    if path.suffix == ".params":
        write_params(path, arrays["mxnet_iresnet100"])
        return "mxnet_iresnet100"
    state = arrays["arcface_iresnet100"]
    if path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file(state, path)
    else:
        torch = pytest.importorskip("torch")
        tensors = {key: torch.from_numpy(array) for key, array in state.items()}
        zipped = path.suffix == ".pth"
        torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    return "arcface_iresnet100"


@pytest.mark.parametrize(
    "file", ["zip.pth", "legacy.ckpt", "net.safetensors", "net-0000.params"]
)
def test_time_and_memory_are_bounded(tmp_path, arrays, file):
    source, destination = tmp_path / file, tmp_path / "own.safetensors"
    name = write(source, arrays)
    cases = ["load", "convert"]
    if file == "zip.pth":  # what is converted is the same file for all of them
        cases.append("load what was converted")
    run = [sys.executable, "-c", MEASURE, name, source, destination, *cases]
    printed = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    for case, line in zip(cases, printed.splitlines(), strict=True):
        seconds, grown, compiled = map(float, line.split())
        copies = grown / (4 * PARAMETERS)
        print(f"{case}: {seconds:.1f} s of a core, {copies:.2f} copies")
        assert 0.9 < copies <= MAX_COPIES
        assert seconds <= MAX_SECONDS
        assert compiled <= 4  # the keys of random numbers, but nothing by shape
    source.unlink()
    destination.unlink()
