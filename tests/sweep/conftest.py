"""A toy backbone with toy images, so that whole sweeps take a second."""

import shutil

import numpy as np
import pytest
from PIL import Image
from toy import toy_backbone

from prefiqs_jax.images import read_folder, take_inventory
from prefiqs_jax.masks import mask_named
from prefiqs_jax.results.inventory import write_inventory
from prefiqs_jax.sweep import SweepOptions, sweep

SPARSITIES = [0.1, 0.3, 0.5]


@pytest.fixture
def backbone():
    return toy_backbone()


def write_pictures(folder, count, people=3):
    rng = np.random.default_rng(5)
    for index in range(count):
        path = folder / f"person{index % people}" / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """Write the toy images once, to be copied."""
    folder = tmp_path_factory.mktemp("original") / "faces"
    write_pictures(folder, 11)
    return folder


@pytest.fixture
def pictures(original, tmp_path):
    return shutil.copytree(original, tmp_path / "faces")


@pytest.fixture(scope="session")
def finished(original, tmp_path_factory):
    """Sweep the toy images once, as ``run_sweep()`` does; only to be read."""
    out = tmp_path_factory.mktemp("finished") / "run"
    options = SweepOptions(batch_size=4, progress=False)
    mask, folder = mask_named("global/magnitude"), read_folder(original)
    return sweep(toy_backbone(), folder, mask, SPARSITIES, out, options=options)


@pytest.fixture
def run(finished, pictures, tmp_path):
    """Give the finished run as if ``run_sweep()`` had just made it of ``pictures``."""
    out = shutil.copytree(finished, tmp_path / "run")
    write_inventory(out, take_inventory(read_folder(pictures)))  # whose times are new
    return out


@pytest.fixture
def run_sweep(backbone, pictures, tmp_path):
    """Sweep the toy images into a folder; keywords override."""

    def run(out="run", *, mask="global/magnitude", sparsities=SPARSITIES, **options):
        seed = options.pop("seed", 0)
        network = options.pop("backbone", backbone)
        folder = read_folder(options.pop("images", pictures))
        options = {"batch_size": 4, "progress": False} | options
        return sweep(
            network,
            folder,
            mask_named(mask, seed=seed),
            sparsities,
            tmp_path / out,
            options=SweepOptions(**options),
        )

    return run
