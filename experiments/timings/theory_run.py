"""How long a whole sweep with all that goes beyond first order takes, on your faces.

    python experiments/timings/theory_run.py --weights FILE --images FOLDER

The command as a user runs it, from its start to the last row: orders 2 and 3, layers,
flips and their split, and the path, at four sparsities. First with an empty cache, so
that every program is compiled, then with all of them compiled. Prints both times and
writes them, with the hardware's description, as JSON.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import device_kind, hardware, output_path, parser, ratio, write

from prefiqs_jax import results

WORDS = ("taylor3", "kinks", "layers", "path")
SPARSITIES = (0.1, 0.3, 0.5, 0.7)
AT_MOST_S = 300


def main() -> None:
    """Measure, print, write."""
    made = parser("Time a whole sweep with all that goes beyond first order.")
    made.add_argument("--backbone", default="sface", metavar="NAME")
    made.add_argument("--weights", required=True, metavar="FILE")
    made.add_argument("--images", required=True, metavar="FOLDER")
    options = made.parse_args()
    words, sparsities = (["taylor2"], [0.5]) if options.quick else (WORDS, SPARSITIES)
    result = {
        "benchmark": "theory_run",
        "backbone": options.backbone,
        "with": words,
        "sparsities": sparsities,
        "device": device_kind(),
        "hardware": hardware(),
    }
    out = output_path("theory_run", options.out)
    command = [sys.executable, "-m", "prefiqs_jax", "sweep", "--quiet"]
    command += ["--backbone", options.backbone, "--weights", options.weights]
    command += ["--images", options.images, "--with", ",".join(words)]
    command += ["--sparsities", ",".join(map(str, sparsities))]
    with tempfile.TemporaryDirectory() as temporary:
        cache = {"PREFIQS_CACHE": str(Path(temporary) / "cache")}
        for state in ("cold", "warm"):
            run = Path(temporary) / state
            start = time.perf_counter()
            done = subprocess.run(
                [*command, "--out", str(run)],
                env={**os.environ, **cache},
                stdout=subprocess.DEVNULL,
                check=False,
            )
            if done.returncode:
                raise SystemExit(done.returncode)  # it has said why
            seconds = time.perf_counter() - start
            images = results.read(run)["image"].nunique()
            result |= {"images": images, f"{state}_s": seconds}
            print(f"{state}: {seconds:.0f} s, {images} images", flush=True)
    what = f"{options.backbone}: sweep with all, empty cache, in seconds"
    write(out, result, [ratio(what, result["cold_s"], at_most=AT_MOST_S)])
    print(out)


if __name__ == "__main__":
    main()
