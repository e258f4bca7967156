"""Measure what a sweep costs, in dense forward passes of the same process and batch.

    python experiments/benchmarks/sweep_cost.py
    python experiments/benchmarks/sweep_cost.py --backbone arcface_iresnet50 --batch 64

The floor at S sparsities is 3 S + 1 forwards: one dense, S pruned, S tangents of two.
Beside it stands the same work as one would write it in PyTorch: at every sparsity
``torch.nn.utils.prune`` on a copy, one forward pass of it, and one ``torch.func.jvp``.
Weights and pictures are random: neither changes the work. Prints a table of ratios and
writes them, with the hardware's description, as JSON.
"""

import argparse
import copy
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from prefiqs_jax.backbones.functional import bind
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.compilation import compiler_options
from prefiqs_jax.masks import globally, magnitude
from prefiqs_jax.masks.packed import pack_masks
from prefiqs_jax.results.provenance import session_record
from prefiqs_jax.sweep.engine import PRECISION, measure, pose
from prefiqs_jax.sweep.planner import plan_sweep

HERE = Path(__file__).parent


def random_tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Draw weights of a size that keeps activations near one."""
    rng = np.random.default_rng(0)

    def draw(path: str, shape: tuple[int, ...]) -> np.ndarray:
        leaf = path.rpartition("/")[2]
        if leaf == "kernel":
            scale = np.float32(np.sqrt(1 / np.prod(shape[:-1])))
            return rng.standard_normal(shape, np.float32) * scale
        if leaf in ("scale", "var"):
            return rng.uniform(0.5, 1.5, shape).astype(np.float32)
        return rng.uniform(-0.2, 0.2, shape).astype(np.float32)

    return {path: draw(path, shape) for path, shape in shapes.items()}


def alternate(
    one: Callable[[], Any], other: Callable[[], Any], repeats: int
) -> tuple[list[float], list[float]]:
    """Time two calls in turn, so that a machine that drifts drifts for both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, kept in zip((one, other), times, strict=True):
            start = time.perf_counter()
            call()
            kept.append(time.perf_counter() - start)
    return times


def jax_costs(options: argparse.Namespace) -> dict[str, Any]:
    """Time dense forwards and sweeps at each S; ratios are of neighbouring runs."""
    found = architecture(options.backbone)
    params, apply_fn = bind(found.blueprint, random_tensors(found.blueprint.shapes))
    shape = (found.preprocessing.height, found.preprocessing.width, 3)
    rng = np.random.default_rng(1)
    images = rng.standard_normal((options.batch, *shape), np.float32)
    with jax.default_matmul_precision(PRECISION):
        # Under the options of the sweep: a slower forward would flatter it.
        dense = (
            jax.jit(apply_fn, compiler_options=compiler_options())
            .lower(params, images)
            .compile()
        )

    def forwards() -> None:
        for _ in range(options.forwards):
            dense(params, images).block_until_ready()

    rows = []
    for count in options.sparsities:
        levels = [(index + 1) / (count + 1) for index in range(count)]
        start = time.perf_counter()
        problem = pose(
            apply_fn, params, pack_masks(globally(magnitude), params, levels)
        )
        masks_s = time.perf_counter() - start
        start = time.perf_counter()
        plan = plan_sweep(
            problem, shape, image_count=options.batch, batch_size=options.batch
        )
        compile_s = time.perf_counter() - start

        def sweep(problem: Any = problem, plan: Any = plan) -> None:
            measure(plan.compiled, problem, images, options.batch)

        forwards()  # warm up
        sweep()
        dense_s, sweep_s = alternate(forwards, sweep, options.repeats)
        ratios = [
            s / (d / options.forwards) for s, d in zip(sweep_s, dense_s, strict=True)
        ]
        rows.append(
            {
                "sparsities": count,
                "floor_forwards": 3 * count + 1,
                "cost_forwards": statistics.median(ratios),
                "cost_forwards_all": ratios,
                "over_floor": statistics.median(ratios) / (3 * count + 1),
                "dense_s": statistics.median(dense_s) / options.forwards,
                "sweep_s": statistics.median(sweep_s),
                "tangent_chunk": plan.tangent_chunk,
                "predicted_peak_bytes": plan.predicted_bytes,
                "masks_s": masks_s,
                "compile_s": compile_s,
                "peak_rss_bytes": peak_rss(),
            }
        )
        print(describe(rows[-1]), flush=True)
    return {"rows": rows}


def torch_costs(options: argparse.Namespace, jax_rows: list[dict]) -> dict[str, Any]:
    """Do the same work in PyTorch, as its documentation suggests."""
    import torch
    from torch.nn.utils import prune

    blocks = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3)}
    blocks |= {100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}
    depth = options.backbone.partition("_iresnet")[2]
    if not depth:
        return {"skipped": f"no PyTorch twin of {options.backbone} in this script"}
    device = torch.device("cuda" if jax.default_backend() == "gpu" else "cpu")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    model = torch_iresnet(blocks[int(depth)]).eval().to(device)
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(options.batch, 3, 112, 112, generator=generator).to(device)
    if options.channels_last:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    def unit(raw: Any) -> Any:
        return raw / raw.norm(dim=-1, keepdim=True)

    def forwards() -> None:
        with torch.no_grad():
            for _ in range(options.forwards):
                model(images)
        wait()

    def sweep(count: int) -> None:
        params = dict(model.named_parameters())
        buffers = dict(model.named_buffers())

        def embed(p: Any) -> Any:
            return unit(torch.func.functional_call(model, (p, buffers), (images,)))

        with torch.no_grad():
            dense = unit(model(images))
        for index in range(count):
            pruned = copy.deepcopy(model)
            layers = [
                (module, "weight")
                for module in pruned.modules()
                if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear))
            ]
            prune.global_unstructured(
                layers, prune.L1Unstructured, amount=(index + 1) / (count + 1)
            )
            for module, name in layers:
                prune.remove(module, name)
            with torch.no_grad():
                moved = unit(pruned(images)) - dense
                target = dict(pruned.named_parameters())
                delta = {k: (target[k] - params[k]).detach() for k in params}
                detached = {k: v.detach() for k, v in params.items()}
                jvp = torch.func.jvp(embed, (detached,), (delta,))[1]
                torch.stack([moved.norm(dim=-1), jvp.norm(dim=-1)]).cpu()
        wait()

    rows = []
    for row in jax_rows:
        count = row["sparsities"]
        forwards()
        dense_s, sweep_s = alternate(
            forwards, lambda count=count: sweep(count), max(1, options.repeats // 2)
        )
        ratio = statistics.median(
            s / (d / options.forwards) for s, d in zip(sweep_s, dense_s, strict=True)
        )
        rows.append(
            {
                "sparsities": count,
                "cost_forwards": ratio,
                "dense_s": statistics.median(dense_s) / options.forwards,
                "sweep_s": statistics.median(sweep_s),
                "time_over_ours": statistics.median(sweep_s) / row["sweep_s"],
                "dense_over_ours": statistics.median(dense_s)
                / options.forwards
                / row["dense_s"],
            }
        )
        print(
            f"PyTorch, S = {count}: {rows[-1]['sweep_s']:.1f} s = "
            f"{ratio:.1f} of its forwards, {rows[-1]['time_over_ours']:.2f} × our time",
            flush=True,
        )
    return {
        "rows": rows,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "channels_last": options.channels_last,
    }


def torch_iresnet(blocks: tuple[int, ...]) -> Any:
    """Build an iResNet of the published layout, with random weights."""
    from torch import nn

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int):
            super().__init__()
            self.main = nn.Sequential(
                nn.BatchNorm2d(inputs),
                nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.PReLU(outputs),
                nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )
            self.shortcut = nn.Sequential()
            if stride > 1:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                    nn.BatchNorm2d(outputs),
                )

        def forward(self, x: Any) -> Any:
            return self.main(x) + self.shortcut(x)

    stem = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)]
    layers, inputs = [], 64
    for count, width in zip(blocks, (64, 128, 256, 512), strict=True):
        for index in range(count):
            layers.append(Block(inputs, width, 1 if index else 2))
            inputs = width
    tail = [
        nn.BatchNorm2d(512),
        nn.Flatten(),
        nn.Linear(512 * 49, 512),
        nn.BatchNorm1d(512),
    ]
    return nn.Sequential(*stem, *layers, *tail)


def describe(row: dict[str, Any]) -> str:
    """One line of the table."""
    return (
        f"S = {row['sparsities']}: {row['cost_forwards']:.1f} forwards, floor "
        f"{row['floor_forwards']}, {row['over_floor']:.2f} × floor "
        f"({row['sweep_s']:.2f} s; dense forward {row['dense_s']:.3f} s; peak "
        f"{row['predicted_peak_bytes'] / 1e9:.2f} GB by the program's analysis, "
        f"{row['peak_rss_bytes'] / 1e9:.2f} GB resident)"
    )


def peak_rss() -> int:
    """Largest resident memory of this process so far, in bytes (Linux counts KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def hardware() -> dict[str, Any]:
    """Describe the machine."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2] for line in lines if "model name" in line]
        model = names[0].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        **session_record(None, PRECISION),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description="Measure what a sweep costs, in dense forward passes."
    )
    parser.add_argument("--backbone", default="arcface_iresnet18")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--sparsities", type=int, nargs="+", default=[1, 4, 10])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--forwards", type=int, default=6, help="dense forwards timed together"
    )
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--channels-last", action="store_true", help="in PyTorch")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args()
    result: dict[str, Any] = {
        "benchmark": "sweep_cost",
        "backbone": options.backbone,
        "batch": options.batch,
        "repeats": options.repeats,
        "hardware": hardware(),
        "jax": jax_costs(options),
    }
    if not options.no_torch:
        result["pytorch"] = torch_costs(options, result["jax"]["rows"])
    kind = jax.local_devices()[0].device_kind.replace(" ", "_").lower()
    out = options.out or HERE / f"sweep_cost_{options.backbone}_{kind}.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
