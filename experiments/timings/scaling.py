"""How a sweep's time and memory grow: with sparsities, with images, with devices.

    python experiments/timings/scaling.py
    python experiments/timings/scaling.py --network arcface_iresnet50 --parts images

Each measurement runs in a process of its own, so that its peak of resident memory is
its own. Sparsities: the step of one batch, timed alone. Images: whole sweeps of folders
of synthetic faces as `prefiqs sweep` makes them, from PNG to Parquet, programs compiled
before. A line is fitted to both, its worst deviation told. Devices: the same sweep on
more of them, and whether the rows are the same. Without an accelerator the devices are
simulated: they share the cores of one processor, so that their times say what the
sharing costs, not what more devices would gain.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from common import HERE, hardware, output_path, parser, ratio, share_the_gpu, write

from prefiqs_jax import results
from prefiqs_jax.images import encode_png
from prefiqs_jax.images.synthetic import faces

PARTS = ("sparsities", "images", "devices")
PEOPLE = 64  # faces that differ; more files repeat them
SIMULATED = "--xla_force_host_platform_device_count={}"
NOT_A_LINE = 0.1  # worst deviation from the fitted line
GROWTH = 1.1  # of memory, over a decade of images
SAME_ROWS = 1e-6


def main() -> None:
    """Measure, print, write."""
    made = parser("Measure how time and memory grow.")
    made.add_argument("--network", default="sface")
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    made.add_argument("--sparsities", type=int, nargs="+", default=[1, 2, 5, 10])
    made.add_argument("--images", type=int, nargs="+", default=[64, 128, 320, 640])
    made.add_argument("--devices", type=int, nargs="+", default=[1, 2, 4, 8])
    made.add_argument("--repeats", type=int, default=5, help="of a step")
    options = made.parse_args()
    if options.quick:
        options.network, options.batch, options.repeats = "xiaoccer_mobilefacenet", 2, 2
        options.sparsities, options.images, options.devices = [1, 4], [4, 16], [1, 2]
    share_the_gpu()
    found: dict[str, Any] = {
        "benchmark": "scaling",
        "network": options.network,
        "batch": options.batch,
        "hardware": hardware(),
    }
    out = output_path("scaling", options.out)
    asked = {"network": options.network, "batch": options.batch}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for part in options.parts:
            if part == "sparsities":
                found[part] = over_sparsities(
                    asked, options.sparsities, options.repeats
                )
            elif part == "images":
                found[part] = over_images(asked, options.images, root)
            else:
                found[part] = over_devices(
                    asked, options.devices, root, 4 * options.batch
                )
            write(out, found, ratios(found))
    print(out)


def over_sparsities(
    asked: dict[str, Any], counts: Sequence[int], repeats: int
) -> dict[str, Any]:
    """Time a step at each S."""
    rows = []
    for count in counts:
        request = {"kind": "step", **asked, "sparsities": count, "repeats": repeats}
        rows.append(in_child(request))
        print(
            f"S = {count}: {rows[-1]['seconds']:.3f} s, "
            f"{rows[-1]['cost_forwards']:.1f} forwards (floor {3 * count + 1}), "
            f"peak {rows[-1]['peak_rss_bytes'] / 1e9:.2f} GB",
            flush=True,
        )
    return {"rows": rows, "line": line(counts, [row["seconds"] for row in rows])}


def over_images(
    asked: dict[str, Any], counts: Sequence[int], root: Path
) -> dict[str, Any]:
    """Sweep folders of several sizes."""
    cache = {"PREFIQS_CACHE": str(root / "cache")}
    rows = []
    # The first fills the cache of compiled programs, for the others to find the same.
    for place, count in enumerate([asked["batch"], *counts]):
        folder, out = root / f"faces_{place}", root / f"run_{place}"
        write_faces(folder, count)
        request = {"kind": "folder", **asked, "sparsities": 2, "devices": 1}
        request |= {"folder": str(folder), "out": str(out)}
        row = in_child(request, **cache)
        if place:
            rows.append(row)
            print(
                f"{count} images: {row['seconds']:.2f} s, peak "
                f"{row['peak_rss_bytes'] / 1e9:.3f} GB, the device waited for "
                f"images {row['waited_for_pictures_s']} s",
                flush=True,
            )
    return {
        "sparsities": 2,
        "rows": rows,
        "line": line(counts, [row["seconds"] for row in rows]),
        "memory_growth": rows[-1]["peak_rss_bytes"] / rows[0]["peak_rss_bytes"],
    }


def over_devices(
    asked: dict[str, Any], counts: Sequence[int], root: Path, images: int
) -> dict[str, Any]:
    """Sweep one folder on several numbers of devices and compare the rows."""
    simulated = jax.default_backend() == "cpu"
    counts = [n for n in counts if simulated or n <= len(jax.local_devices())]
    folder = root / "faces"
    write_faces(folder, images)
    rows, reference = [], None
    for count in counts:
        out = root / f"devices_{count}"
        request = {"kind": "folder", **asked, "sparsities": 2, "devices": count}
        request |= {"folder": str(folder), "out": str(out)}
        variables = {"XLA_FLAGS": SIMULATED.format(count)} if simulated else {}
        row = in_child(request, **variables)
        measured = results.read(out).sort_values(["image", "sparsity"])
        values = measured[["first_order", "drift"]].to_numpy(np.float64)
        reference = values if reference is None else reference
        row["largest_difference"] = float(np.abs(values - reference).max())
        rows.append(row)
        print(
            f"{count} devices{' (simulated)' if simulated else ''}: "
            f"{row['seconds']:.2f} s with compilation, rows differ by "
            f"{row['largest_difference']:.1e}",
            flush=True,
        )
    return {"simulated": simulated, "sparsities": 2, "images": images, "rows": rows}


def in_child(request: dict[str, Any], **variables: str) -> dict[str, Any]:
    """Run one measurement in a new process; its last line is the answer."""
    done = subprocess.run(
        [sys.executable, str(HERE / "scaling_child.py"), json.dumps(request)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        message = f"the measurement {request['kind']} ended with {done.returncode}"
        raise SystemExit(message)
    return json.loads(done.stdout.splitlines()[-1])


def write_faces(folder: Path, count: int) -> None:
    """Write ``count`` images of synthetic people, some of them alike."""
    folder.mkdir()
    keys = jax.random.split(jax.random.key(0), 2 * min(count, PEOPLE))
    people, captures = jax.numpy.split(keys, 2)
    files = [encode_png(picture) for picture in np.asarray(faces(people, captures))]
    for index in range(count):
        (folder / f"{index:05d}.png").write_bytes(files[index % len(files)])


def line(counts: Sequence[int], seconds: Sequence[float]) -> dict[str, float]:
    """Fit seconds = start + each · count; the worst deviation is relative."""
    each, start = np.polyfit(counts, seconds, 1)
    fitted = start + each * np.asarray(counts)
    worst = np.max(np.abs(np.asarray(seconds) / fitted - 1))
    return {"start_s": start, "each_s": each, "worst_deviation": float(worst)}


def ratios(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Pick the figures that have goals."""
    figures = []
    for part in ("sparsities", "images"):
        if part in found:
            rows = found[part]["rows"]
            what = f"{part}, {rows[0][part]} to {rows[-1][part]}: off the line by"
            worst = found[part]["line"]["worst_deviation"]
            figures.append(ratio(what, worst, at_most=NOT_A_LINE))
    if "images" in found:
        growth = found["images"]["memory_growth"]
        figures.append(ratio("images: growth of peak memory", growth, at_most=GROWTH))
    if "devices" in found:
        rows = found["devices"]["rows"]
        what = f"devices, {rows[0]['devices']} to {rows[-1]['devices']}: rows differ by"
        worst = max(row["largest_difference"] for row in rows)
        figures.append(ratio(what, worst, at_most=SAME_ROWS))
    return figures


if __name__ == "__main__":
    main()
