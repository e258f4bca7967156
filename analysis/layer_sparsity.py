"""Show which layers lose their weights at each sparsity of a run.

A global mask ranks the weights of all layers together, so layers of many small weights
(usually the last dense one) lose most. Writes ``layer_sparsity.csv`` and the heat map
``layer_sparsity.png`` and ``.pdf``.

    python analysis/layer_sparsity.py RUN [--out DIR]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from prefiqs_jax import plots
from prefiqs_jax.errors import InputError
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.report.figures import draw_layers
from prefiqs_jax.report.tables import layer_table
from prefiqs_jax.results import read_manifest


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table and the figure; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="by default RUN/report/layers"
    )
    options = parser.parse_args(arguments)
    try:
        write_layer_sparsity(options.run, options.out or options.run / "report/layers")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def write_layer_sparsity(run: Path, out: Path) -> None:
    """Write ``layer_sparsity.csv``, ``.png`` and ``.pdf``."""
    layers = layer_table(read_manifest(run))
    if len(layers) == 0:
        message = f"{run}/run.json records no layers; sweep again with this version"
        raise InputError(message)
    with plots.theme():
        files = plots.figure_files([draw_layers(layers)])
    write_outputs(out, {"layer_sparsity.csv": layers.to_csv(index=False), **files})
    print(out)


if __name__ == "__main__":
    sys.exit(main())
