"""What a forward pass takes, against PyTorch in its best layout on the same device.

    python experiments/benchmarks/forward.py
    python experiments/benchmarks/forward.py --networks arcface_vit_t sface --repeats 20

Each network gets the same random weights in both frameworks, and must give the same
embeddings. Then both are timed in turn, so that a machine that drifts drifts for both;
the lower quartile of the repetitions is reported. PyTorch runs eagerly in inference
mode, contiguous and channels-last, in full float32. Prints a table of ratios and writes
them, with the hardware's description, as JSON.
"""

import argparse
import copy
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from sweep_cost import HERE, hardware, random_tensors

from prefiqs_jax.aliases import ApplyFn, Params
from prefiqs_jax.backbones.functional import bind
from prefiqs_jax.backbones.mirror import pytorch_entries
from prefiqs_jax.backbones.sface import FINAL_SIZE, SEPARABLE
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.compilation import compiler_options
from prefiqs_jax.sweep.engine import PRECISION
from prefiqs_jax.weights.mapping import Entry

NETWORKS = (
    "arcface_iresnet18",
    "arcface_iresnet34",
    "arcface_iresnet50",
    "arcface_iresnet100",
    "curricularface_ir101",
    "adaface_ir50",
    "arcface_mobilefacenet",
    "xiaoccer_mobilefacenet",
    "arcface_vit_t",
    "sface",
)
TWINS = HERE.parents[1] / "tests"
TOLERANCE = 2e-6
HEADER = (
    f"{'network':24} {'ratio':>5} {'cpu':>5} {'ours':>9} {'contiguous':>10} "
    f"{'ch. last':>9} {'first call':>10} {'GFLOP/s':>8}"
)
LAYOUTS = ("contiguous", "channels_last")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description="Time forward passes against PyTorch on the same device."
    )
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    sys.path.insert(0, str(TWINS))
    import torch

    rows = []
    result = {
        "benchmark": "forward",
        "batch": options.batch,
        "repeats": options.repeats,
        "statistic": "lower quartile",
        "hardware": hardware(),
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "compiler_options": compiler_options(),
        "rows": rows,
    }
    kind = jax.local_devices()[0].device_kind.replace(" ", "_").lower()
    out = options.out or HERE / f"forward_{kind}.json"
    print(HEADER, flush=True)
    for name in options.networks:
        rows.append(compare(name, options.batch, options.repeats))
        print(describe(rows[-1]), flush=True)
        out.write_text(json.dumps(result, indent=1) + "\n")
    print(out)


def compare(name: str, batch: int, repeats: int) -> dict[str, Any]:
    """Time one network in both frameworks; refuse if they disagree."""
    found = architecture(name)
    shapes = found.blueprint.shapes
    tensors = random_tensors(shapes)
    params, apply_fn = bind(found.blueprint, tensors)
    size = (found.preprocessing.height, found.preprocessing.width, 3)
    images = np.random.default_rng(1).standard_normal((batch, *size), np.float32)
    ours, first_s = jax_forward(apply_fn, params, images)
    entries = found.entries(shapes)
    if name == "sface":  # the twin is named as ours, not as the ONNX file
        flattened = {
            "params/pre_fc1/kernel": (SEPARABLE[-1][0], FINAL_SIZE, FINAL_SIZE)
        }
        entries = pytorch_entries(shapes, flattened)
    theirs, flops = torch_forwards(name, torch_state(tensors, entries), images)
    expected = unit(ours())
    difference = max(np.abs(unit(call()) - expected).max() for call in theirs.values())
    if not difference <= TOLERANCE:
        message = f"{name}: embeddings differ by {difference:.1e} from PyTorch's"
        raise SystemExit(message)
    times, processor = interleave({"ours": ours, **theirs}, repeats)
    best = min(LAYOUTS, key=times.__getitem__)
    return {
        "network": name,
        "ratio": times[best] / times["ours"],
        "processor_time_ratio": min(processor[layout] for layout in LAYOUTS)
        / processor["ours"],
        "pytorch_layout": best,
        "ours_s": times["ours"],
        **{f"pytorch_{layout}_s": times[layout] for layout in LAYOUTS},
        "first_call_s": first_s,
        "gflop": flops / 1e9,
        "gflop_per_s": flops / 1e9 / times["ours"],
        "largest_difference": float(difference),
    }


def jax_forward(
    apply_fn: ApplyFn, params: Params, images: NDArray
) -> tuple[Callable[[], NDArray], float]:
    """Compile a forward pass.

    Returns
    -------
    call : callable
        Runs it, to the end, and gives the raw embeddings.
    first_s : float
        Seconds of the first call, compilation included.
    """
    placed = jax.device_put(images)

    def call() -> NDArray:
        return np.asarray(compiled(params, placed))

    start = time.perf_counter()
    with jax.default_matmul_precision(PRECISION):
        lowered = jax.jit(apply_fn).lower(params, placed)
        compiled = lowered.compile(compiler_options=compiler_options())
    call()
    return call, time.perf_counter() - start


def torch_forwards(
    name: str, state: dict[str, NDArray], images: NDArray
) -> tuple[dict[str, Callable[[], NDArray]], float]:
    """Make PyTorch's forward pass in each layout, with the same weights.

    Returns
    -------
    calls : dict
        Layout to the pass, run to the end.
    flops : float
        Of the whole batch in convolutions and matrix products, by PyTorch's count: two
        for a multiplication and an addition.
    """
    import torch

    device = torch.device("cuda" if jax.default_backend() == "gpu" else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    from torch.utils.flop_counter import FlopCounterMode

    module = torch_module(name)
    missing, unexpected = module.load_state_dict(
        {key: torch.from_numpy(value) for key, value in state.items()}, strict=False
    )
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        message = f"{name}: PyTorch lacks {missing}, does not know {unexpected}"
        raise SystemExit(message)
    module = module.eval().to(device)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    batch = torch.from_numpy(planes).to(device)
    formats = {
        "contiguous": torch.contiguous_format,
        "channels_last": torch.channels_last,
    }

    def forward(layout: str) -> Callable[[], NDArray]:
        laid = copy.deepcopy(module).to(memory_format=formats[layout])
        fed = batch.to(memory_format=formats[layout])

        def call() -> NDArray:
            with torch.inference_mode():
                return laid(fed).cpu().numpy()  # waits for the device

        return call

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(batch)
    return {layout: forward(layout) for layout in LAYOUTS}, counter.get_total_flops()


def torch_module(name: str) -> Any:
    """Build the PyTorch twin of a network."""
    twins = importlib.import_module("backbones.twins.zoo")
    if name in twins.FULL_SIZE:
        return twins.full_size(name)
    if name == "sface":
        from sface_twin import SFace

        return SFace()
    message = (
        f"no PyTorch twin of {name}; there are {', '.join([*twins.FULL_SIZE, 'sface'])}"
    )
    raise SystemExit(message)


def torch_state(
    tensors: dict[str, NDArray], entries: dict[str, Entry]
) -> dict[str, NDArray]:
    """Name and lay out our tensors as PyTorch has them: the conversion, undone.

    A conversion moves elements and changes none, so that of the positions 0, 1, 2, …
    tells where each element goes.
    """
    state = {}
    for key, entry in entries.items():
        ours = tensors[entry.target]
        shape = entry.shape
        places = np.arange(ours.size, dtype=np.float64).reshape(shape)
        moved = places if entry.transform is None else entry.transform(places)
        theirs = np.empty(ours.size, ours.dtype)
        theirs[np.asarray(moved, np.int64).reshape(-1)] = ours.reshape(-1)
        state[key] = theirs.reshape(shape)
    return state


def interleave(
    calls: dict[str, Callable[[], Any]], repeats: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Time calls in turn, after one warm-up.

    Returns
    -------
    elapsed : dict
        Lower quartile of each, in seconds.
    processor : dict
        The least processor time of each, over all threads: what is left of the
        comparison on a machine with other work, if run on one core.
    """
    elapsed: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            start, start_processor = time.perf_counter(), time.process_time()
            call()
            if repeat:
                elapsed[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - start_processor)
    return (
        {name: float(np.quantile(kept, 0.25)) for name, kept in elapsed.items()},
        {name: min(kept) for name, kept in processor.items()},
    )


def unit(raw: NDArray) -> NDArray:
    """Normalise rows, in double precision."""
    raw = raw.astype(np.float64)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def describe(row: dict[str, Any]) -> str:
    """One line of the table."""
    return (
        f"{row['network']:24} {row['ratio']:5.2f} "
        f"{row['processor_time_ratio']:5.2f} {row['ours_s'] * 1e3:6.0f} ms "
        f"{row['pytorch_contiguous_s'] * 1e3:7.0f} ms "
        f"{row['pytorch_channels_last_s'] * 1e3:6.0f} ms {row['first_call_s']:8.1f} s "
        f"{row['gflop_per_s']:8.0f}"
    )


if __name__ == "__main__":
    main()
