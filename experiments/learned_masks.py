"""Learn masks for three goals, and compare them with magnitude on people not seen.

    python experiments/learned_masks.py
    python experiments/learned_masks.py FACES --backbone sface --weights FILE \
        --sparsity 0.4 --steps 100

Every image has a degraded copy. Scores are learned on half of the people; both masks,
of the same count, are then measured on the other half. By default the people are
synthetic, new to the network that comes with the package. The gain is the goal with
magnitude minus the goal with the learned mask (the lower a goal, the better), with a
jackknife interval over the held-out people. It holds where the interval is above 0; the
record says so either way. Writes ``learned_masks.json`` with settings and hardware.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from prefiqs_jax.backbones import Backbone, load_backbone
from prefiqs_jax.cli.options import natural, positive
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import DEFAULT_PRECISION
from prefiqs_jax.files import write_text
from prefiqs_jax.images import decode, read_folder
from prefiqs_jax.images.degrade import DEGRADATIONS, degrade
from prefiqs_jax.images.synthetic import faces
from prefiqs_jax.masks import (
    Moved,
    best_agreement,
    globally,
    learn_mask,
    least_drift,
    magnitude,
    separation,
)
from prefiqs_jax.results.provenance import session_record
from prefiqs_jax.statistics import jackknife_interval
from prefiqs_jax.sweep import sweep_arrays

if TYPE_CHECKING:
    import pandas as pd

# The embedded network's people come from streams 1 and 2, the demo's from 4.
STREAM = 5
SEVEREST, MILDEST = 1.0, 0.3
Goal = Callable[[Moved], Any]
GOALS = ("least_drift", "best_agreement", "separation")


class Faces(NamedTuple):
    """Images of people, clean ones first, then a degraded copy of each."""

    images: NDArray[np.uint8]
    people: NDArray[np.str_]
    degraded: NDArray[np.bool_]


def synthetic(people: int, shots: int, seed: int) -> tuple[NDArray, NDArray]:
    """Photograph synthetic people; give images and who is in them."""
    root = jax.random.fold_in(jax.random.key(seed), STREAM)
    identity, capture = jax.random.split(root)
    who = np.repeat(np.arange(people), shots)
    keys = jax.random.split(identity, people)[who]
    images = np.asarray(faces(keys, jax.random.split(capture, len(who))))
    return images, np.array([f"person_{n:03d}" for n in who])


def photographs(root: Path) -> tuple[NDArray, NDArray]:
    """Read a folder of aligned faces; give images and who is in them."""
    folder = read_folder(root)
    if None in folder.identities:
        message = f"{root}: not every image has an identity, so people cannot be split"
        raise InputError(message)
    images = np.stack([decode(root / name).pixels for name in folder.names])
    return images, np.array(folder.identities)


def halves(images: NDArray, people: NDArray, seed: int) -> tuple[Faces, Faces]:
    """Split by person, and add a degraded copy of each image."""
    names = np.unique(people)
    if len(names) < 4:
        message = f"{len(names)} people; give at least 4, two to learn on and two held"
        raise InputError(message)
    order = np.random.default_rng(seed).permutation(names)
    parts = []
    for chosen in (order[: len(order) // 2], order[len(order) // 2 :]):
        own = np.isin(people, chosen)
        clean, who = images[own], people[own]
        rng = np.random.default_rng([seed, len(parts)])
        severity = rng.uniform(MILDEST, SEVEREST, len(clean))
        kinds = rng.permutation(np.resize(list(DEGRADATIONS), len(clean)))
        copies = np.stack(
            [
                degrade(image, str(kind), float(level), seed=seed + place)
                for place, (image, kind, level) in enumerate(
                    zip(clean, kinds, severity, strict=True)
                )
            ]
        )
        flags = np.repeat([False, True], len(clean))
        parts.append(Faces(np.concatenate([clean, copies]), np.tile(who, 2), flags))
    return parts[0], parts[1]


def goal_of(name: str, degraded: NDArray[np.bool_]) -> Goal:
    """Find a goal by its name, for images of which some are degraded."""
    if name == "separation":
        return separation(degraded)
    return {"least_drift": least_drift, "best_agreement": best_agreement}[name]


def study(
    backbone: Backbone,
    train: Faces,
    held_out: Faces,
    name: str,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Learn for one goal, and measure the gain on people not seen."""
    start = time.perf_counter()
    learned = learn_mask(
        backbone.apply_fn,
        backbone.params,
        backbone.preprocess(train.images),
        options.sparsity,
        goal_of(name, train.degraded),
        steps=options.steps,
        optimiser=optax.adam(options.rate),
        batch_size=options.batch_size,
        seed=options.seed,
    )
    seconds = time.perf_counter() - start
    masks = {"learned": learned.mask_fn, "magnitude": globally(magnitude)}
    found = {
        part: compare(backbone, faces, masks, goal_of(name, faces.degraded), options)
        for part, faces in (("learned_on", train), ("held_out", held_out))
    }
    held = found["held_out"]
    return {
        "goal": name,
        **found,
        "holds": bool(held["low"] > 0),
        "history": [round(value, 6) for value in learned.history],
        "learning_s": round(seconds, 1),
    }


def compare(
    backbone: Backbone,
    faces: Faces,
    masks: dict[str, Any],
    goal: Goal,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Measure a goal with both masks, and the gain with its interval over people."""
    rows = sweep_arrays(backbone, faces.images, masks, [options.sparsity])
    people = np.unique(faces.people)
    without = [faces.people != who for who in people]
    values = {}
    for mask, part in rows.groupby("mask", sort=False):
        part = part.sort_values("image", key=lambda names: names.astype(int))
        values[mask] = np.array(
            [
                float(goal(_moved(part.loc[kept], np.flatnonzero(kept))))
                for kept in (np.ones(len(part), bool), *without)
            ]
        )
    gain = values["magnitude"] - values["learned"]
    low, high = jackknife_interval(gain[0], gain[1:])
    return {
        "people": len(people),
        "images": len(faces.images),
        **{mask: float(each[0]) for mask, each in values.items()},
        "gain": float(gain[0]),
        "low": float(low),
        "high": float(high),
    }


def _moved(rows: "pd.DataFrame", index: NDArray[np.intp]) -> Moved:
    drift, first_order, residual = (
        jnp.asarray(rows[name].to_numpy(np.float32))
        for name in ("drift", "first_order", "residual")
    )
    return Moved(drift, first_order, residual, jnp.asarray(index))


def describe(row: dict[str, Any]) -> str:
    """Say of one goal what was gained."""
    held = row["held_out"]
    return (
        f"{row['goal']}: {held['magnitude']:.4g} with magnitude, {held['learned']:.4g} "
        f"learned, on {held['people']} people held out; gain {held['gain']:.3g} "
        f"[{held['low']:.3g}, {held['high']:.3g}], which "
        f"{'holds' if row['holds'] else 'does not hold'} (where it was learned "
        f"{row['learned_on']['gain']:.3g}); {row['learning_s']:.0f} s"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Learn, measure, write; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        backbone = load_backbone(options.backbone, options.weights)
        if options.faces is None:
            images, people = synthetic(options.people, options.shots, options.seed)
        else:
            images, people = photographs(options.faces)
        train, held_out = halves(images, people, options.seed)
        names = ("sparsity", "steps", "rate", "batch_size", "seed")
        result: dict[str, Any] = {
            "experiment": "learned_masks",
            "backbone": backbone.name,
            "faces": "synthetic" if options.faces is None else options.faces.name,
            "settings": {name: getattr(options, name) for name in names},
            "hardware": _hardware(),
            "goals": [],
        }
        for name in options.goals.split(","):
            row = study(backbone, train, held_out, name, options)
            result["goals"].append(row)
            print(describe(row), flush=True)
            write_text(options.out, dumps(result, indent=1) + "\n")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.out)
    return 0


def _hardware() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2] for line in lines if "model name" in line]
    return {
        "cpu": models[0].strip() if models else platform.processor(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg(),
        **session_record(None, DEFAULT_PRECISION),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("faces", type=Path, nargs="?", metavar="FACES")
    default = Path(__file__).with_suffix(".json")
    parser.add_argument("--out", type=Path, metavar="FILE", default=default)
    parser.add_argument("--backbone", metavar="NAME", default="demo")
    parser.add_argument("--weights", metavar="FILE")
    parser.add_argument("--goals", metavar="A,B,…", default=",".join(GOALS))
    parser.add_argument("--people", type=positive, default=24, help="synthetic ones")
    parser.add_argument("--shots", type=positive, default=2, help="images of each")
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--steps", type=positive, default=80)
    parser.add_argument("--rate", type=float, default=0.01)
    parser.add_argument("--batch-size", type=positive, default=16)
    parser.add_argument("--seed", type=natural, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
