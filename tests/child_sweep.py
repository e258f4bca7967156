"""Sweep toy images in a process of its own: ``python child_sweep.py JSON``.

The JSON says: ``images``, a folder; ``runs``, a list of run folders with options of the
sweep; ``cluster``, if it is one of several processes; ``delay``, seconds before each
part is written.
"""

import json
import sys
import time

from toy import toy_backbone

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.sweep import SweepOptions, batches, sweep
from prefiqs_jax.sweep.distributed import join


def main(images, runs, cluster=None, delay=0.0, sparsities=(0.1, 0.3, 0.5)):
    write = batches.write_table

    def slow(*arguments):
        time.sleep(delay)
        write(*arguments)

    batches.write_table = slow
    folder = read_folder(images)
    try:
        if cluster is not None:
            join(*cluster, timeout=60)
        for out, options in runs:
            sweep(
                toy_backbone(),
                folder,
                mask_named("global/magnitude"),
                sparsities,
                out,
                options=SweepOptions(**{"progress": False} | options),
            )
    except InputError as error:
        print(f"prefiqs: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(**json.loads(sys.argv[1])))
