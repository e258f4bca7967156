"""Train the backbone ``demo`` on people who do not exist, and measure it on others.

    python experiments/train_demo_backbone.py --seed 0 --out runs/demo
    python experiments/train_demo_backbone.py --collect runs/demo/demo_seed*.json

The first writes ``demo_seed0.safetensors`` and ``demo_seed0.json``: settings, versions,
times, curves, and verification errors on people whom no seed trains on. The second
joins several seeds into the record that comes with the package, and puts the weights of
one of them beside it. The device is the one that JAX takes; two CPU cores are enough.
On Linux, GLIBC_TUNABLES=glibc.malloc.hugetlb=1 in the environment saves a quarter of a
step there: its memory then comes in huge pages, not in 15,000 small ones.
"""

import argparse
import dataclasses
import importlib.metadata
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from arcface import adamw, initial_state, make_step
from demo_record import collect
from numpy.typing import NDArray
from tqdm import tqdm
from training import Trainable, save_trained, tensors_of, trainable

from prefiqs_jax.backbones import load_backbone
from prefiqs_jax.backbones.zoo import architecture
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import DEFAULT_PRECISION
from prefiqs_jax.files import make_folder
from prefiqs_jax.fiqa import (
    all_pairs,
    equal_error_rate,
    fnmr_at,
    threshold_at_fmr,
)
from prefiqs_jax.images.degrade import DEGRADATIONS, degrade
from prefiqs_jax.images.synthetic import faces
from prefiqs_jax.outputs import check_outputs, write_outputs
from prefiqs_jax.results.provenance import session_record
from prefiqs_jax.weights.source import file_sha256

ASSETS = Path(__file__).resolve().parents[1] / "prefiqs_jax" / "assets"
NAME = "demo"
FMRS = (1e-2, 1e-3)
RENDER_BATCH = 64
EMBED_BATCH = 32
CURVE_POINTS = 60
# Streams of random keys. The people who test are the same for every seed, and no seed
# trains on them.
TRAINING, TESTING, ORDER = 1, 2, 3
TESTING_SEED = 0

Pictures = NDArray[np.uint8]
Labels = NDArray[np.int32]


def _setting(default: float, text: str) -> Any:
    return dataclasses.field(default=default, metadata={"help": text})


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the weights depend on, apart from versions and device."""

    seed: int = _setting(0, "of people, initial weights and order")
    people: int = _setting(1100, "to train on")
    captures: int = _setting(14, "photographs of each")
    epochs: int = _setting(3, "passes over all photographs")
    batch: int = _setting(32, "images a step")
    peak_rate: float = _setting(2e-3, "largest learning rate")
    weight_decay: float = _setting(1.0, "of the dense layer, times the rate")
    conv_decay: float = _setting(0.05, "of the convolutions, times the rate")
    warm_up: float = _setting(0.07, "share of the steps until the largest rate")
    scale: float = _setting(32.0, "of the cosines in the loss")
    margin: float = _setting(0.35, "in radians")
    margin_warm_up: float = _setting(0.3, "share of the steps until all margin")
    shift_px: int = _setting(2, "largest shift of an image")
    contrast: float = _setting(0.3, "largest change of contrast and brightness")
    degraded: float = _setting(0.5, "share of the images that are degraded")
    testing_people: int = _setting(200, "who are not trained on")
    testing_captures: int = _setting(8, "photographs of each")
    tests: int = _setting(8, "of the network in training")

    @property
    def steps(self) -> int:
        """Steps of the whole training; what fills no batch waits for the next pass."""
        return self.epochs * (self.people * self.captures // self.batch)


def people_keys(
    seed: int, stream: int, people: int, captures: int
) -> tuple[jax.Array, jax.Array, Labels]:
    """Draw who is photographed, and under which circumstances.

    Parameters
    ----------
    seed, stream
        Together they choose the people.
    people, captures
        How many, and photographs of each.

    Returns
    -------
    identity_keys, capture_keys, labels
        Shape (people · captures,), person by person.
    """
    identity, capture = jax.random.split(
        jax.random.fold_in(jax.random.key(seed), stream)
    )
    labels = np.repeat(np.arange(people, dtype=np.int32), captures)
    identities = jax.random.split(identity, people)
    return identities[labels], jax.random.split(capture, people * captures), labels


def photograph(
    seed: int, stream: int, people: int, captures: int, *, progress: bool = True
) -> tuple[Pictures, Labels]:
    """Render people once, for all epochs.

    Returns
    -------
    pictures, labels
        Shapes (images, 112, 112, 3), RGB, and (images,).
    """
    identities, circumstances, labels = people_keys(seed, stream, people, captures)
    parts = []
    bar = tqdm(total=len(labels), desc="rendering", unit="face", disable=not progress)
    for rows in _batches(len(labels), RENDER_BATCH):
        drawn = np.asarray(faces(identities[rows], circumstances[rows]))
        parts.append(drawn)
        bar.update(min(len(drawn), len(labels) - bar.n))
    bar.close()
    return np.concatenate(parts)[: len(labels)], labels


def worsen(pictures: Pictures, share: float, seed: Sequence[int]) -> Pictures:
    """Degrade some images: any degradation, any severity, the mild ones more often.

    Networks learn from images of every quality. One that never saw a bad image has
    no idea of one: its embedding is then as stable under pruning as that of a good one.

    Parameters
    ----------
    pictures
        Shape (batch, height, width, 3), uint8.
    share
        How many of them, on average, 0 to 1.
    seed
        Of what happens to which.
    """
    rng = np.random.default_rng(seed)
    chosen = np.flatnonzero(rng.random(len(pictures)) < share)
    names = rng.choice(list(DEGRADATIONS), len(chosen))
    severities = rng.random(len(chosen)) ** 1.5
    seeds = rng.integers(2**31, size=len(chosen))
    worse = pictures.copy()
    for row, name, severity, own in zip(chosen, names, severities, seeds, strict=True):
        worse[row] = degrade(pictures[row], name, severity, seed=int(own))
    return worse


def _batches(count: int, size: int) -> list[NDArray[np.intp]]:
    """Split 0 to count - 1 into rows of one size, so that nothing compiles twice.

    The last are repeated to fill the last batch.
    """
    padded = np.minimum(np.arange(-(-count // size) * size), count - 1)
    return list(padded.reshape(-1, size))


def embed_all(
    embed: Callable[[NDArray], jax.Array], pictures: Pictures
) -> NDArray[np.float32]:
    """Embed images batch by batch; ``embed`` gets the network's input."""
    scaled = architecture(NAME).preprocessing
    parts = [
        np.asarray(embed(scaled(pictures[rows])))
        for rows in _batches(len(pictures), EMBED_BATCH)
    ]
    return np.concatenate(parts)[: len(pictures)]


def verification(embeddings: NDArray[np.float32], labels: Labels) -> dict[str, Any]:
    """Compare every image with every other one, and count the errors."""
    pairs = all_pairs(embeddings, labels)
    mated, non_mated = pairs.similarity[pairs.mated], pairs.similarity[~pairs.mated]
    return {
        "mated": len(mated),
        "non_mated": len(non_mated),
        "eer": _short(equal_error_rate(pairs.similarity, pairs.mated)),
        "fnmr_at_fmr": {
            f"{fmr:g}": _short(fnmr_at(mated, threshold_at_fmr(non_mated, fmr)))
            for fmr in FMRS
        },
    }


def train(
    settings: Settings,
    training: tuple[Pictures, Labels],
    testing: tuple[Pictures, Labels],
    *,
    progress: bool = True,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Train, and watch the errors on other people.

    Parameters
    ----------
    settings
        Those about rendering are not looked at.
    training, testing
        Images and labels, of different people.
    progress
        Whether to show a bar.

    Returns
    -------
    tensors
        Of the trained network, by the paths of its blueprint.
    curves
        Loss and training accuracy, each a mean over the steps since the last point, and
        the equal error rate on the people to test.
    """
    found = architecture(NAME)
    network = trainable(found.build, settings.seed)
    optimiser = adamw(
        steps=settings.steps,
        warm_up=round(settings.warm_up * settings.steps),
        peak_rate=settings.peak_rate,
        weight_decay=settings.weight_decay,
        conv_decay=settings.conv_decay,
    )
    step = make_step(
        network,
        optimiser,
        preprocessing=found.preprocessing,
        scale=settings.scale,
        margin=settings.margin,
        margin_warm_up=round(settings.margin_warm_up * settings.steps),
        shift_px=settings.shift_px,
        contrast=settings.contrast,
    )
    begin, key = jax.random.split(
        jax.random.fold_in(jax.random.key(settings.seed), ORDER)
    )
    state = initial_state(
        network,
        optimiser,
        begin,
        people=settings.people,
        embedding_dim=found.embedding_dim,
    )
    test = _tester(network, testing)
    curves: dict[str, list] = {"step": [], "loss": [], "accuracy": []}
    curves |= {"test_step": [], "test_eer": []}
    since: list[Any] = []
    bar = tqdm(total=settings.steps, desc="training", unit="step", disable=not progress)
    for done, rows in enumerate(_order(settings, len(training[1])), start=1):
        worsened = worsen(training[0][rows], settings.degraded, (settings.seed, done))
        pictures, labels = jnp.asarray(worsened), jnp.asarray(training[1][rows])
        state, told = step(state, key, pictures, labels)
        since.append(told)
        bar.update()
        if _due(done, settings.steps, settings.tests):
            tested = test(state.params["network"], state.statistics)
            curves["test_step"].append(done)
            curves["test_eer"].append(tested["eer"])
        if _due(done, settings.steps, CURVE_POINTS):
            means = np.mean(jax.device_get(since), axis=0)
            since = []
            curves["step"].append(done)
            curves["loss"].append(_short(means[0]))
            curves["accuracy"].append(_short(means[1]))
            shown = ("loss", "accuracy", "test_eer")
            bar.set_postfix_str(
                ", ".join(
                    f"{name} {curves[name][-1]:.3g}" for name in shown if curves[name]
                )
            )
    bar.close()
    return tensors_of(state.params["network"], state.statistics), curves


def _tester(network: Trainable, testing: tuple[Pictures, Labels]) -> Callable:
    embed = jax.jit(network.embed_fn)

    def test(params: Any, statistics: Any) -> dict[str, Any]:
        embeddings = embed_all(lambda x: embed(params, statistics, x), testing[0])
        return verification(embeddings, testing[1])

    return test


def _order(settings: Settings, images: int) -> Any:
    """Yield the rows of each batch: every epoch in a new order."""
    for epoch in range(settings.epochs):
        order = np.random.default_rng([settings.seed, epoch]).permutation(images)
        for start in range(0, images - settings.batch + 1, settings.batch):
            yield order[start : start + settings.batch]


def _due(done: int, steps: int, points: int) -> bool:
    return done * points // steps > (done - 1) * points // steps


def _short(value: Any) -> float:
    return round(float(value), 5)


def run(settings: Settings, out: Path) -> dict[str, Any]:
    """Render, train, write, and measure the file that was written."""
    name = f"demo_seed{settings.seed}"
    check_outputs(make_folder(out), [f"{name}.safetensors", f"{name}.json"])
    start = time.perf_counter()
    testing = photograph(
        TESTING_SEED, TESTING, settings.testing_people, settings.testing_captures
    )
    training = photograph(settings.seed, TRAINING, settings.people, settings.captures)
    rendered = time.perf_counter()
    tensors, curves = train(settings, training, testing)
    trained = time.perf_counter()

    weights = out / f"{name}.safetensors"
    about = {
        "trained_by": "experiments/train_demo_backbone.py",
        "settings": json.dumps(dataclasses.asdict(settings), sort_keys=True),
    }
    with tempfile.TemporaryDirectory() as folder:
        trained_file = Path(folder) / weights.name
        save_trained(trained_file, NAME, tensors, about)
        write_outputs(out, {weights.name: trained_file.read_bytes()})
    # Errors are those of the file: its weights have been rounded.
    backbone = load_backbone(NAME, weights)
    with jax.default_matmul_precision(DEFAULT_PRECISION):
        apply_fn = jax.jit(backbone.apply_fn)
        errors = {
            name: verification(
                embed_all(lambda x: apply_fn(backbone.params, x), pictures), testing[1]
            )
            for name, pictures in (
                ("clean", testing[0]),
                ("half_degraded", worsen(testing[0], 0.5, (TESTING_SEED, TESTING))),
            )
        }
    session = session_record(None, "as XLA chooses in training")
    del session["command"]
    session["versions"]["optax"] = importlib.metadata.version("optax")
    record = {
        "backbone": NAME,
        "settings": dataclasses.asdict(settings),
        "steps": settings.steps,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(backbone.params)),
        "weights": {"file": weights.name, "sha256": file_sha256(weights)},
        "verification": errors,
        "curves": curves,
        "wall_s": {
            "rendering": round(rendered - start, 1),
            "training": round(trained - rendered, 1),
            "training_ms_per_image": round(
                1000 * (trained - rendered) / (settings.steps * settings.batch), 2
            ),
        },
        "session": session,
    }
    write_outputs(out, {f"{name}.json": json.dumps(record, indent=1) + "\n"})
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one seed, or collect several; return 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(
        description="Train the backbone demo on synthetic people.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for field in dataclasses.fields(Settings):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            metavar="N" if isinstance(field.default, int) else "X",
            default=field.default,
            help=field.metadata["help"],
        )
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="folder")
    parser.add_argument(
        "--collect", type=Path, nargs="+", metavar="JSON", help="records to join"
    )
    parser.add_argument("--embed", type=int, metavar="SEED", help="whose weights")
    parser.add_argument("--assets", type=Path, default=ASSETS, help="of --collect")
    options = vars(parser.parse_args(arguments))
    names = [field.name for field in dataclasses.fields(Settings)]
    try:
        if options["collect"]:
            record = collect(options["collect"], options["assets"], options["embed"])
        else:
            settings = Settings(**{name: options[name] for name in names})
            record = run(settings, options["out"])
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(record["verification"], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
