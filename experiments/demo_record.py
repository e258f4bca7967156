"""Join the records of several trainings of the backbone ``demo`` into one."""

import json
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import atomic, make_folder, write_text
from prefiqs_jax.weights.source import file_sha256


def collect(
    records: Sequence[Path], assets: Path, embed: int | None = None
) -> dict[str, Any]:
    """Join the records of several seeds, and put one seed's weights beside the result.

    Parameters
    ----------
    records
        ``demo_seedN.json``, each beside its weights.
    assets
        Folder to write ``demo_training.json`` and ``demo.safetensors`` to.
    embed
        Seed whose weights to take. By default the one in the middle by equal error
        rate: the best of several would promise more than a training keeps.

    Returns
    -------
    dict
        What was written.

    Raises
    ------
    InputError
        If settings differ by more than the seed, a seed is missing or comes twice, or a
        weights file is another one than its record says.
    """
    runs = [json.loads(path.read_text()) for path in records]
    seeds = [run["settings"]["seed"] for run in runs]
    shared = [{**run["settings"], "seed": None} for run in runs]
    if len(set(seeds)) < len(seeds):
        message = f"seeds {seeds}: give each once"
        raise InputError(message)
    for path, run, settings in zip(records, runs, shared, strict=True):
        if settings != shared[0]:
            message = f"{path} has other settings than {records[0]}"
            raise InputError(message)
        weights = path.with_name(run["weights"]["file"])
        if file_sha256(weights) != run["weights"]["sha256"]:
            message = f"{weights} is not the file that {path} describes"
            raise InputError(message)
    by_error = sorted(runs, key=lambda run: run["verification"]["clean"]["eer"])
    chosen = by_error[len(runs) // 2]["settings"]["seed"] if embed is None else embed
    if chosen not in seeds:
        message = f"no record of seed {chosen}; there are {seeds}"
        raise InputError(message)
    place = seeds.index(chosen)
    record = {
        "backbone": "demo",
        "embedded_seed": chosen,
        "embedded_sha256": runs[place]["weights"]["sha256"],
        "verification": {
            name: _joined([run["verification"][name] for run in runs])
            for name in runs[0]["verification"]
        },
        "runs": runs,
    }
    make_folder(assets)
    weights = records[place].with_name(runs[place]["weights"]["file"])
    with atomic(assets / str(architecture("demo").embedded)) as temporary:
        shutil.copyfile(weights, temporary)
    write_text(assets / "demo_training.json", json.dumps(record, indent=1) + "\n")
    return record


def _joined(errors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Join the errors of several seeds on the same images."""
    return {
        "eer": _spread([each["eer"] for each in errors]),
        "fnmr_at_fmr": {
            fmr: _spread([each["fnmr_at_fmr"][fmr] for each in errors])
            for fmr in errors[0]["fnmr_at_fmr"]
        },
    }


def _spread(values: list[float]) -> dict[str, float]:
    """Mean and standard deviation of a sample; 0 for a single value."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.mean(values), 5), "sd": round(deviation, 5)}
