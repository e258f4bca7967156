"""Folders of known people: all pairs, Adience's names, degraded copies."""

import dataclasses

import numpy as np
import pytest
from benchmarks.benchmark_writers import (
    person_picture,
    save,
    write_adience,
    write_lfw,
    write_people,
)

from prefiqs_jax.benchmarks import read_benchmark, with_degraded
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import check_headers, decode, load_batches
from prefiqs_jax.images.degrade import DEGRADATIONS, degrade
from prefiqs_jax.images.stores import Degraded, Recipe


@pytest.fixture
def people(tmp_path):
    write_people(tmp_path / "faces", people=3, shots=4, size=14)
    return read_benchmark(tmp_path / "faces")


def severity_of(benchmark):
    assert benchmark.severity is not None
    return benchmark.severity.tolist()


def recipes(benchmark):
    assert isinstance(benchmark.images.store, Degraded)
    return benchmark.images.store.recipes


def test_all_pairs(people):
    assert (people.kind, people.name) == ("folder", "faces")
    assert people.first is people.second is people.mated is people.templates is None
    assert people.unit_count == 12
    same = [
        a == b
        for place, a in enumerate(people.identities)
        for b in people.identities[place + 1 :]
    ]
    assert people.comparison_count == len(same) == 66
    assert people.mated_count == sum(same) == 18
    assert people.non_mated_count == 48
    assert people.identity_source == "folders"
    assert people.severity is None


def test_adience_names_say_who_it_is(tmp_path):
    names = write_adience(tmp_path / "adience", size=14)
    benchmark = read_benchmark(tmp_path / "adience")
    assert benchmark.images.names == tuple(names)
    # Two people share an account, whose folder therefore is no person.
    person = [name.split("face.")[1].split(".")[0] for name in names]
    assert list(benchmark.identities) == person
    assert len({name.split("/")[0] for name in names}) == 2
    assert benchmark.images.identity_count == 4
    assert benchmark.identity_source == "file names of Adience"
    assert benchmark.mated_count == 4 * 3


def test_crops_that_crfiqa_makes_of_adience(tmp_path):
    for person in (5, 40):
        for image in range(2):
            save(tmp_path / f"p_{person}_img_{image}.jpg", person_picture(0, 0, 14))
    assert read_benchmark(tmp_path).identities == ("40", "40", "5", "5")


def test_pictures_without_identity_are_left_out(tmp_path):
    names = write_people(tmp_path, people=2, shots=2, size=14)
    save(tmp_path / "loose.png", person_picture(0, 0, 14))
    rows = "".join(f"{name},{name[:9]}\n" for name in names)
    (tmp_path / "images.csv").write_text("file,identity\n" + rows)
    benchmark = read_benchmark(tmp_path)
    assert benchmark.images.names == tuple(names)
    assert any("1 image without identity" in note for note in benchmark.notes)


def test_known_severity_is_read(tmp_path):
    names = write_people(tmp_path, people=2, shots=2, size=14)
    rows = "".join(f"{n},{n[:9]},{k / 4}\n" for k, n in enumerate(names))
    (tmp_path / "images.csv").write_text("file,identity, severity\n" + rows)
    assert severity_of(read_benchmark(tmp_path)) == [0, 0.25, 0.5, 0.75]
    (tmp_path / "images.csv").write_text("file,identity,severity\n" + rows + "x,y,2\n")
    read_benchmark(tmp_path)  # of an image that is not here
    bad = rows.replace("0.25", "bad").replace("0.75", "7")
    (tmp_path / "images.csv").write_text("file,identity,severity\n" + bad)
    with pytest.raises(InputError, match=r"severity of 2 images is no number .*1\.png"):
        read_benchmark(tmp_path)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a.png", "b.png"], "does not say who is in its images"),
        (["x/a.png", "y/b.png"], "one image of each person"),
        (["x/a.png", "x/b.png"], "does not say who"),
        ([], "has no images"),
    ],
)
def test_folders_without_comparisons(tmp_path, names, reason):
    for name in names:
        save(tmp_path / name, person_picture(0, 0, 14))
    with pytest.raises(InputError, match=reason) as excinfo:
        read_benchmark(tmp_path)
    assert len(str(excinfo.value).splitlines()) == 1


def test_one_person_only(tmp_path):
    save(tmp_path / "a.png", person_picture(0, 0, 14))
    save(tmp_path / "b.png", person_picture(0, 0, 14))
    (tmp_path / "images.csv").write_text("file,identity\na.png,x\nb.png,x\n")
    with pytest.raises(InputError, match="shows one person only"):
        read_benchmark(tmp_path)


def test_degraded_copies_follow_their_originals(people):
    worse = with_degraded(people, 2, seed=3, worst=0.5)
    assert worse.unit_count == 36
    assert worse.images.names[::3] == people.images.names
    assert severity_of(worse)[::3] == [0] * 12
    for place, name in enumerate(worse.images.names):
        original = people.images.names[place // 3]
        assert worse.identities[place] == people.identities[place // 3]
        if place % 3:
            recipe = recipes(worse)[name]
            assert recipe.original == original
            assert severity_of(worse)[place] == recipe.severity
            what = f"{recipe.degradation}_{recipe.severity:g}"
            assert name == f"{original}~{what}"
    assert len(set(worse.images.names)) == 36
    assert worse.mated_count == 3 * (12 * 11 // 2 - 4 * 3)  # no image and its copy
    assert worse.images.identities == worse.identities
    assert "with 24 degraded copies" in worse.notes[-1]


def test_degradations_and_severities_are_dealt_evenly(tmp_path):
    write_people(tmp_path, people=7, shots=8, size=7)
    for seed in (0, 1):
        dealt = recipes(with_degraded(read_benchmark(tmp_path), 5, seed=seed)).values()
        kinds = [each.degradation for each in dealt]
        counts = {name: kinds.count(name) for name in DEGRADATIONS}
        assert set(counts.values()) == {20}
        for name in DEGRADATIONS:
            own = np.sort([e.severity for e in dealt if e.degradation == name])
            # Evenly in (0, 1]: never further from the even spread than 1.5 steps.
            assert np.abs(own - (np.arange(20) + 0.5) / 20).max() < 1.5 / 20
            assert own[0] > 0
        originals = [each.original for each in dealt]
        assert len(set(zip(originals, kinds, strict=True))) == len(kinds)
        assert len({each.seed for each in dealt}) == len(kinds)


def test_the_seed_decides(people):
    one, again, other = (recipes(with_degraded(people, seed=s)) for s in (1, 1, 2))
    assert one == again
    assert one != other
    assert not {e.seed for e in one.values()} & {e.seed for e in other.values()}


def test_copies_are_made_while_they_are_loaded(people):
    worse = with_degraded(people)
    folder = worse.images
    assert check_headers(folder, 14, 14) == []
    for batch in load_batches(folder, height=14, width=14, batch_size=5):
        for name, pixels in zip(batch.names, batch.pixels, strict=True):
            original, _, _ = name.partition("~")
            expected = decode(people.images.root / original).pixels
            if name in recipes(worse):
                _, what, severity, seed = recipes(worse)[name]
                expected = degrade(expected, what, severity, seed=seed)
            np.testing.assert_array_equal(pixels, expected)


def test_copies_are_degraded_before_they_are_cut(tmp_path):
    write_people(tmp_path, people=2, shots=2, size=112)
    folder = with_degraded(read_benchmark(tmp_path)).images
    whole = next(load_batches(folder, height=112, width=112, batch_size=8))
    narrow = next(load_batches(folder, height=112, width=96, batch_size=8))
    np.testing.assert_array_equal(narrow.pixels, whole.pixels[:, :, 8:-8])
    assert narrow.conversions["cut to the 96 wide template"] == folder.names


def test_a_bad_original_spoils_its_copies_too(people):
    worse = with_degraded(people)
    first = people.images.names[0]
    (people.images.root / first).write_bytes(b"")
    bad = check_headers(worse.images, 14, 14)
    assert [name for name, _ in bad] == list(worse.images.names[:2])
    (batch,) = load_batches(
        worse.images, height=14, width=14, batch_size=99, on_bad_image="skip"
    )
    assert [name for name, _ in batch.skipped] == list(worse.images.names[:2])


def test_recipes_decide_the_digest(people):
    worse = with_degraded(people)
    folder = worse.images
    changed = {**recipes(worse), folder.names[1]: Recipe("other.png", "jpeg", 0.5, 7)}
    other = dataclasses.replace(folder, store=Degraded(changed))
    assert other.names_sha256 != folder.names_sha256 != people.images.names_sha256


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"copies": 0}, "0 copies; give 1 to 14"),
        ({"copies": 15}, "15 copies"),
        ({"worst": 0}, "worst severity 0"),
        ({"worst": 1.5}, "worst severity 1.5"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_out_of_range(people, setting, reason):
    with pytest.raises(InputError, match=reason):
        with_degraded(people, **setting)


def test_listed_comparisons_take_no_copies(tmp_path):
    write_lfw(tmp_path, size=14)
    with pytest.raises(InputError, match="lists its comparisons"):
        with_degraded(read_benchmark(tmp_path))


def test_real_faces(shared):
    benchmark = read_benchmark(shared("faces/lfw100"))
    assert benchmark.comparison_count == 4950
    assert benchmark.mated_count == 450
    assert benchmark.images.identity_count == 10
    worse = with_degraded(benchmark)
    batch = next(load_batches(worse.images, height=112, width=112, batch_size=6))
    assert batch.names == worse.images.names[:6]
    changed = np.abs(batch.pixels[1::2].astype(int) - batch.pixels[::2]).mean((1, 2, 3))
    assert (changed > 0).all()
