"""Images of benchmarks go through a sweep and get scores, as files do."""

import csv
import pickle

import numpy as np
import pytest
from benchmarks.benchmark_writers import bin_pictures, encoded, write_people
from toy import toy_backbone

from prefiqs_jax import results
from prefiqs_jax.benchmarks import read_benchmark, with_degraded
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.quality import score
from prefiqs_jax.sweep import SweepOptions, sweep

SIZE = 14
MASK = "layerwise/magnitude"


def drifts(folder, out):
    """Score the images of a folder with the toy network."""
    score(toy_backbone(size=SIZE), folder, mask_named(MASK), out, progress=False)
    with open(out, newline="") as file:
        return {row["image"]: float(row["drift"]) for row in csv.DictReader(file)}


@pytest.mark.slow
def test_scores_of_a_bin_are_those_of_its_pictures_as_files(tmp_path):
    pictures, labels = bin_pictures(4, SIZE)
    (tmp_path / "a.bin").write_bytes(pickle.dumps((pictures, labels)))
    (tmp_path / "files").mkdir()
    for place, data in enumerate(pictures):
        (tmp_path / f"files/{place:05d}.jpg").write_bytes(data)
    packed = drifts(read_benchmark(tmp_path / "a.bin").images, tmp_path / "packed.csv")
    assert packed == drifts(read_folder(tmp_path / "files"), tmp_path / "files.csv")
    assert len(packed) == 8


def test_a_sweep_of_degraded_copies_knows_its_pictures(tmp_path):
    write_people(tmp_path / "faces", people=2, shots=2, size=SIZE)
    benchmark = with_degraded(read_benchmark(tmp_path / "faces"))

    def run(images):
        options = SweepOptions(batch_size=3, progress=False)
        mask = mask_named(MASK)
        out = tmp_path / "run"
        return sweep(toy_backbone(size=SIZE), images, mask, [0.4], out, options=options)

    rows = results.read(run(benchmark.images))
    assert rows["image"].tolist() == list(benchmark.images.names)
    assert len(set(rows["drift"])) == 8
    before = rows["drift"].to_numpy()
    np.testing.assert_array_equal(results.read(run(benchmark.images))["drift"], before)
    # Other degradations under the run's settings are other images.
    other = with_degraded(read_benchmark(tmp_path / "faces"), seed=1)
    with pytest.raises(InputError, match="images_sha256"):
        run(other.images)


def test_a_bad_picture_of_a_bin_stops_a_run_in_one_line(tmp_path):
    pictures, labels = bin_pictures(4, SIZE)
    pictures[3] = encoded(np.zeros((3, 5, 3), np.uint8))
    (tmp_path / "a.bin").write_bytes(pickle.dumps((pictures, labels)))
    folder = read_benchmark(tmp_path / "a.bin").images
    with pytest.raises(InputError, match=r"00003\.jpg is 5×3 pixels, but toy needs 14"):
        drifts(folder, tmp_path / "scores.csv")
    assert not (tmp_path / "scores.csv").exists()
