"""Settings and images of a demo: refused where senseless, made once, found again."""

import os

import numpy as np
import pytest

from prefiqs_jax.demo import DemoSettings
from prefiqs_jax.demo.benchmark import open_benchmark, plan, read_plan, read_settings
from prefiqs_jax.demo.settings import CLEAN, DEGRADED, MOST_PEOPLE
from prefiqs_jax.errors import InputError
from prefiqs_jax.files import lock_folder
from prefiqs_jax.images import decode
from prefiqs_jax.images.degrade import DEGRADATIONS

pytestmark = pytest.mark.slow

SMALL = DemoSettings(seed=3, people=2, severities=(0.5, 1.0))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Give the folder of a small demo's images."""
    out = tmp_path_factory.mktemp("demo") / "out"
    open_benchmark(SMALL, out)
    return out


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"people": 1}, "1 people; give 2 to 1000"),
        ({"people": MOST_PEOPLE + 1}, "give 2 to 1000"),
        ({"severities": (0.5, 1.5)}, r"severity 1\.5 is outside \[0, 1\]"),
        ({"severities": (-0.1,)}, r"severity -0\.1 is outside \[0, 1\]"),
        ({"severities": (float("nan"),)}, r"severity nan is outside \[0, 1\]"),
        ({"severities": (0.0,)}, "no severity above 0"),
        ({"severities": ()}, "no severity above 0"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_senseless_settings_are_refused(wrong, told):
    with pytest.raises(InputError, match=told) as error:
        DemoSettings(**wrong)
    assert "\n" not in str(error.value)


def test_severities_are_sorted_and_clean_is_no_level():
    assert DemoSettings(severities=[1, 0, 0.5, 0.5]).severities == (0.5, 1.0)


def test_degradations_and_severities_are_dealt_evenly():
    people = 7 * len(DEGRADATIONS)
    pictures = plan(DemoSettings(people=people, severities=(0.4, 0.8)))
    assert len(pictures) == people * (CLEAN + DEGRADED)
    assert len({picture.name for picture in pictures}) == len(pictures)
    for name in DEGRADATIONS:
        severities = [p.severity for p in pictures if p.degradation == name]
        assert len(severities) == 7 * DEGRADED
        assert min(severities) > 0
        assert max(severities) <= 0.8
        # In each quarter about as many as in any other.
        counts, _ = np.histogram(severities, 4, (0, 0.8))
        assert counts.sum() == len(severities)
        assert np.ptp(counts) <= 3
    # Nobody has one degradation twice.
    for person in range(people):
        kinds = [p.degradation for p in pictures if p.person == person][CLEAN:]
        assert len(set(kinds)) == len(kinds)


@pytest.mark.slow
def test_folder_names_people_and_severities(small):
    table = read_plan(small)
    assert list(table.columns) == ["image", "identity", "degradation", "severity"]
    assert len(table) == 2 * (CLEAN + DEGRADED)
    assert np.count_nonzero(table["severity"] == 0) == 2 * CLEAN
    folder = open_benchmark(SMALL, small)
    assert folder.identity_count == 2
    assert set(folder.names) == set(table["image"])
    assert folder.notes == ()
    assert read_settings(small) == SMALL


def test_pictures_are_a_function_of_the_settings(small, tmp_path, sha256):
    again = tmp_path / "again"
    folder = open_benchmark(SMALL, again)
    for name in folder.names:
        assert sha256(again / "images" / name) == sha256(small / "images" / name)
    other = tmp_path / "other"
    open_benchmark(DemoSettings(seed=4, people=2, severities=(0.5, 1.0)), other)
    name = folder.names[0]
    assert sha256(other / "images" / name) != sha256(again / "images" / name)


def test_killed_while_making_pictures(small, tmp_path, sha256):
    out = tmp_path / "out"
    folder = open_benchmark(SMALL, out)
    (out / "images" / "images.csv").unlink()
    (out / "images" / folder.names[5]).unlink()
    assert open_benchmark(SMALL, out).names == folder.names
    for name in folder.names:
        assert sha256(out / "images" / name) == sha256(small / "images" / name)


def test_degraded_pictures_are_worse_and_clean_ones_are_not_touched(small):
    table = read_plan(small)
    (name,) = table.query(
        "degradation == 'gaussian_blur' and identity == 'person_000'"
    )["image"]
    sharp, blurred = (
        np.abs(np.diff(decode(small / "images" / n).pixels.astype(int), axis=0)).mean()
        for n in (table["image"][0], name)
    )
    assert blurred < 0.7 * sharp


def test_other_settings_in_the_same_folder(small):
    other = DemoSettings(seed=3, people=3, severities=(0.5, 1.0))
    with pytest.raises(InputError, match="a demo with people 2, not 3"):
        open_benchmark(other, small)


def test_folder_of_another_kind_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty and holds no demo"):
        open_benchmark(SMALL, tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(InputError, match="is a file"):
        open_benchmark(SMALL, tmp_path / "thesis.tex")


def test_damaged_marker(tmp_path):
    (tmp_path / "demo.json").write_text("{")
    with pytest.raises(InputError, match=r"demo\.json is damaged"):
        open_benchmark(SMALL, tmp_path)
    with pytest.raises(InputError, match="holds no demo"):
        read_settings(tmp_path / "nothing")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be made"):
        open_benchmark(SMALL, tmp_path / "out")


def test_pictures_that_the_user_changed_or_added(tmp_path):
    out = tmp_path / "out"
    open_benchmark(SMALL, out)
    first, *_ = sorted((out / "images").rglob("*.png"))
    ours = first.read_bytes()
    first.write_bytes(b"mine")
    with pytest.raises(InputError, match=f"{first.name} is not from prefiqs"):
        open_benchmark(SMALL, out)
    assert first.read_bytes() == b"mine"
    first.unlink()
    with pytest.raises(InputError, match=f"{first.name} is missing, or not of the"):
        open_benchmark(SMALL, out)
    first.write_bytes(ours)
    (first.parent / "mine.png").write_bytes(ours)
    with pytest.raises(InputError, match=r"mine\.png is missing, or not of the demo"):
        open_benchmark(SMALL, out)
    (first.parent / "mine.png").unlink()
    # As a process that was killed while it made the images leaves it.
    (out / "images" / "images.csv").unlink()
    first.unlink()
    leftovers = [out / ".demo.json.host-1-0123abcd.partial"]
    leftovers.append(first.parent / f".{first.name}.host-1-0123abcd.partial")
    for path in leftovers:
        path.write_bytes(b"half")
    open_benchmark(SMALL, out)
    assert first.read_bytes() == ours
    assert not [path for path in leftovers if path.exists()]


def test_two_demos_at_once(tmp_path):
    with (
        lock_folder(tmp_path, "making a demo"),
        pytest.raises(InputError, match="is in use by process"),
    ):
        open_benchmark(SMALL, tmp_path)
    assert os.listdir(tmp_path) == []
