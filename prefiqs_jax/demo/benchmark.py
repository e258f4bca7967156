"""The images of a demo: people, clean photographs, degraded ones, known severity."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from prefiqs_jax.demo.settings import CLEAN, DEGRADED, DemoSettings
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import clear_partial, lock_folder, make_folder, write_text
from prefiqs_jax.images import ImageFolder, encode_png, read_folder
from prefiqs_jax.images.degrade import DEGRADATIONS, degrade
from prefiqs_jax.images.folder import IDENTITY_TABLE
from prefiqs_jax.images.synthetic import faces
from prefiqs_jax.outputs import check_outputs, is_unused, write_outputs
from prefiqs_jax.version import __version__

if TYPE_CHECKING:
    import pandas as pd

MARKER = "demo.json"
IMAGES = "images"
CLEAN_NAME = "clean"
# The experiment that trains the embedded backbone draws its people from the streams 1
# (to train) and 2 (to test) of its seeds: no person here was trained on.
STREAM = 4
# Degradations of one demo draw from seeds that no other demo uses.
_SEEDS = 1_000_000
_GOLDEN = (5**0.5 - 1) / 2


class Plan(NamedTuple):
    """One image to make."""

    person: int
    shot: int
    degradation: str
    """Or ``clean``."""
    severity: float

    @property
    def name(self) -> str:
        """Path below the folder of the images."""
        what = self.degradation
        if self.severity > 0:
            what = f"{what}_{self.severity:g}"
        return f"person_{self.person:03d}/{self.shot:02d}_{what}.png"


def plan(settings: DemoSettings) -> list[Plan]:
    """List the images, person by person.

    Degradations are dealt out in turn, so that each occurs as often as any other, give
    or take one. Severities fill (0, highest level] evenly, for each degradation, too:
    they step by the golden section.
    """
    names, worst = list(DEGRADATIONS), max(settings.severities)
    images = []
    for person in range(settings.people):
        images += [Plan(person, shot, CLEAN_NAME, 0.0) for shot in range(CLEAN)]
        for copy in range(DEGRADED):
            dealt = person * DEGRADED + copy
            place = (dealt * _GOLDEN) % 1.0
            severity = round(worst * (1.0 - place), 2) or 0.01
            what = names[dealt % len(names)]
            images.append(Plan(person, CLEAN + copy, what, severity))
    return images


def photograph(settings: DemoSettings) -> np.ndarray:
    """Photograph the plan, not degraded: (images, 112, 112, 3), uint8, RGB."""
    root = jax.random.fold_in(jax.random.key(settings.seed), STREAM)
    identity, capture = jax.random.split(root)
    shots = CLEAN + DEGRADED
    people = jax.random.split(identity, settings.people)
    who = np.repeat(np.arange(settings.people), shots)
    captures = jax.random.split(capture, settings.people * shots)
    return np.asarray(faces(people[who], captures))


def open_benchmark(settings: DemoSettings, out: Path) -> ImageFolder:
    """Make the images below ``out``, or find those of an earlier call.

    Gives ``out/images``, whose ``images.csv`` has the columns file, identity,
    degradation and severity. InputError if the folder holds something else or another
    demo, is in use, or cannot be written.
    """
    if out.exists() and not out.is_dir():
        message = f"{out} is a file; give a folder with --out"
        raise InputError(message)
    with lock_folder(make_folder(out), "making a demo"):
        root = out / IMAGES
        clear_partial(out, MARKER)
        clear_partial(root)
        _claim(settings, out)
        names = [shot.name for shot in plan(settings)]
        # Written last: with it, all images are there.
        if (root / IDENTITY_TABLE).exists():
            check_outputs(root, [*names, IDENTITY_TABLE])
        else:
            write_outputs(root, _make_images(settings))
    folder = read_folder(root)
    if odd := sorted(set(names) ^ set(folder.names)):
        message = f"{root / odd[0]} is missing, or not of the demo; give another --out"
        raise InputError(message)
    return folder


def _make_images(settings: DemoSettings) -> dict[str, str | bytes]:
    """Make the files of every image, and last the table."""
    images = photograph(settings)
    files: dict[str, str | bytes] = {}
    lines = [f"file,identity,{','.join(Plan._fields[2:])}"]
    for place, (shot, pixels) in enumerate(zip(plan(settings), images, strict=True)):
        if shot.severity > 0:
            seed = _SEEDS * settings.seed + place
            pixels = degrade(pixels, shot.degradation, shot.severity, seed=seed)
        files[shot.name] = encode_png(pixels)
        person = f"person_{shot.person:03d}"
        lines.append(f"{shot.name},{person},{shot.degradation},{shot.severity:g}")
    return {**files, IDENTITY_TABLE: "\n".join(lines) + "\n"}


def read_plan(out: Path) -> "pd.DataFrame":
    """Read the table of the images: image, identity, degradation, severity."""
    import pandas as pd

    table = pd.read_csv(out / IMAGES / IDENTITY_TABLE)
    return table.rename(columns={"file": "image"})


def read_settings(out: Path) -> DemoSettings:
    """Read the settings of the demo in a folder; InputError if there is none."""
    path = out / MARKER
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return DemoSettings(**stored["settings"])
    except FileNotFoundError:
        message = f"{out} holds no demo; make one with prefiqs demo --out {out}"
        raise InputError(message) from None
    except (ValueError, KeyError, TypeError) as error:
        message = f"{path} is damaged ({error}); delete {out} or give another --out"
        raise InputError(message) from None


def _claim(settings: DemoSettings, out: Path) -> None:
    """Make sure that the folder is this demo's, and mark it."""
    wanted = dataclasses.asdict(settings) | {"severities": list(settings.severities)}
    if (out / MARKER).exists():
        read_settings(out)
        marker = json.loads((out / MARKER).read_text(encoding="utf-8"))
        found = {**marker["settings"], "version": marker.get("version")}
        for key, value in {**wanted, "version": __version__}.items():
            if found.get(key) != value:
                other = f"{key} {found.get(key)}, not {value}"
                message = (
                    f"{out} holds a demo with {other}; give another --out, or delete it"
                )
                raise InputError(message)
        return
    if not is_unused(out):
        message = f"{out} is not empty and holds no demo; give another --out"
        raise InputError(message)
    text = json.dumps({"settings": wanted, "version": __version__}, indent=1)
    write_text(out / MARKER, text + "\n")
