"""IJB-C's files: templates, media, alignment by five points, and what can be wrong."""

import collections
import shutil

import numpy as np
import pytest
from benchmarks.benchmark_writers import listed, save, write_ijbc

from prefiqs_jax.benchmarks import columns, read_benchmark
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import check_headers, load_batches
from prefiqs_jax.images.stores import FILES

MEMBERS = "meta/ijbc_face_tid_mid.txt"
COMPARISONS = "meta/ijbc_template_pair_label.txt"
POINTS = "meta/ijbc_name_5pts_score.txt"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("ijb") / "IJBC"
    return root, write_ijbc(root)


@pytest.fixture
def ijbc(original, tmp_path):
    """Give a copy that a test may spoil."""
    return shutil.copytree(original[0], tmp_path / "IJBC")


def templates_of(benchmark):
    assert benchmark.templates is not None
    return benchmark.templates


def lines_of(root, name):
    return [line.split() for line in (root / name).read_text().splitlines()]


def test_templates_and_media_are_those_of_the_file(original):
    root, _ = original
    benchmark = read_benchmark(root)
    assert (benchmark.kind, benchmark.name) == ("ijbc", "ijbc")
    templates = templates_of(benchmark)
    images = benchmark.images.names
    media = collections.defaultdict(set)
    for image, template, medium in lines_of(root, MEMBERS):
        media[template, medium].add(image)
    found = collections.defaultdict(set)
    for image, template, medium in zip(*templates[1:], strict=True):
        found[templates.names[int(template)], int(medium)].add(images[image])
    assert sorted(map(sorted, found.values())) == sorted(map(sorted, media.values()))
    assert {t for t, _ in found} == {t for t, _ in media}
    assert (np.diff(templates.template) >= 0).all()
    for each in templates[1:]:
        assert each.dtype == np.int32


def test_comparisons_are_those_of_the_file(original):
    root, _ = original
    benchmark = read_benchmark(root)
    names = templates_of(benchmark).names
    found = [
        [names[int(a)], names[int(b)], str(int(same))]
        for a, b, same in zip(*listed(benchmark), strict=True)
    ]
    assert found == lines_of(root, COMPARISONS)
    assert (benchmark.comparison_count, benchmark.mated_count) == (75, 15)
    assert benchmark.unit_count == len(names) == 20


def test_groups_of_mated_templates_stand_for_people(original):
    benchmark = read_benchmark(original[0])
    person = [(int(name) - 11) // 4 for name in templates_of(benchmark).names]
    assert benchmark.identities == tuple(f"group_{each}" for each in person)
    assert benchmark.identity_source == "mated comparisons"
    assert any("the 5 groups of templates" in note for note in benchmark.notes)


def test_loose_crops_are_aligned_while_they_are_loaded(original):
    pytest.importorskip("cv2")
    root, aligned = original
    folder = read_benchmark(root).images
    assert check_headers(folder, 112, 112) == []
    seen = 0
    for batch in load_batches(folder, height=112, width=112, batch_size=7):
        for name, pixels in zip(batch.names, batch.pixels, strict=True):
            # The faces were put there unturned and unscaled: nothing is interpolated,
            # but for a last digit of the landmarks.
            difference = np.abs(pixels.astype(int) - aligned[name])
            assert difference.max() <= 1, name
            seen += 1
    assert seen == len(aligned) == 30


def test_a_narrow_network_gets_the_middle(original):
    pytest.importorskip("cv2")
    root, aligned = original
    folder = read_benchmark(root).images.take([4])
    (batch,) = load_batches(folder, height=112, width=96, batch_size=1)
    expected = aligned[batch.names[0]][:, 8:-8].astype(int)
    assert np.abs(batch.pixels[0] - expected).max() <= 1
    assert batch.conversions == {"cut to the 96 wide template": batch.names}
    ((_, reason),) = check_headers(folder, 224, 224, "vit")
    assert reason.startswith("is 112×112 pixels, but vit needs 224×224")


def test_other_pictures_are_taken_to_be_aligned(original, tmp_path):
    root, aligned = original
    for name, pixels in aligned.items():
        save(tmp_path / "crops" / name, pixels)
    benchmark = read_benchmark(root, images=tmp_path / "crops")
    assert benchmark.images.store == FILES
    assert any("taken to be aligned" in note for note in benchmark.notes)
    assert check_headers(benchmark.images, 112, 112) == []


def test_ijbb_and_files_beside_each_other(tmp_path):
    write_ijbc(tmp_path, people=2, probes=1, prefix="ijbb")
    for each in (tmp_path / "meta").iterdir():
        each.rename(tmp_path / each.name)
    benchmark = read_benchmark(tmp_path)
    assert (benchmark.kind, benchmark.name) == ("ijbc", "ijbb")
    assert benchmark.comparison_count == 4


def test_templates_in_no_comparison_are_left_out(ijbc):
    kept = [line for line in lines_of(ijbc, COMPARISONS) if line[1] != "12"]
    (ijbc / COMPARISONS).write_text("\n".join(map(" ".join, kept)))
    benchmark = read_benchmark(ijbc)
    assert "12" not in templates_of(benchmark).names
    assert "4.jpg" not in benchmark.images.names
    assert set(templates_of(benchmark).image) == set(range(29))
    assert any("1 template in no comparison" in note for note in benchmark.notes)


def test_numbers_of_templates_may_be_far_apart(ijbc):
    before = read_benchmark(ijbc)
    for file in (MEMBERS, COMPARISONS):
        words = lines_of(ijbc, file)
        for line in words:
            line[1] = line[1].replace("30", str(2**40))
        (ijbc / file).write_text("\n".join(map(" ".join, words)))
    after = read_benchmark(ijbc)
    assert templates_of(after).names[-1] == str(2**40)
    for a, b in zip(listed(before), listed(after), strict=True):
        np.testing.assert_array_equal(a, b)
    with (ijbc / COMPARISONS).open("a") as file:
        file.write("\n11 12345 0")
    with pytest.raises(InputError, match="1 template without images: 12345"):
        read_benchmark(ijbc)


def test_an_image_of_two_templates(ijbc):
    with (ijbc / MEMBERS).open("a") as file:
        file.write("1.jpg 12 900\n")
    benchmark = read_benchmark(ijbc)
    assert len(benchmark.images.names) == 30
    assert len(templates_of(benchmark).image) == 31


def test_landmarks_decide_the_digest(ijbc):
    before = read_benchmark(ijbc).images
    text = (ijbc / POINTS).read_text()
    (ijbc / POINTS).write_text(text.replace("1.jpg 4", "1.jpg 5", 1))
    after = read_benchmark(ijbc).images
    assert before.names == after.names
    assert before.names_sha256 != after.names_sha256


def test_names_that_look_like_numbers_stay_names(tmp_path):
    (tmp_path / "a.txt").write_text("001 1e3\n01 1000\n")
    one, other = columns.read_columns(tmp_path / "a.txt", {"a": "name", "b": "name"})
    assert [each.tolist() for each in (one, other)] == [["001", "01"], ["1e3", "1000"]]


def test_pieces_of_a_long_file_fit_together(original, monkeypatch):
    whole = read_benchmark(original[0])
    monkeypatch.setattr(columns, "CHUNK_LINES", 7)
    pieces = read_benchmark(original[0])
    for a, b in zip(listed(whole), listed(pieces), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        templates_of(whole).medium, templates_of(pieces).medium
    )
    assert whole.images.names_sha256 == pieces.images.names_sha256


@pytest.mark.parametrize(
    ("file", "line", "reason"),
    [
        (MEMBERS, "1.jpg 11", "line 3: 2 columns in place of 3; each line is: image"),
        (MEMBERS, "1.jpg x 500", "line 3: 'x' is not a whole number"),
        (MEMBERS, "777.jpg 11 500", "names 1 image that .*not hold: 777.jpg"),
        (COMPARISONS, "11 12", "line 3: 2 columns in place of 3"),
        (COMPARISONS, "11 12 2", "line 3: '2' is not 1 .mated. or 0"),
        (COMPARISONS, "11 99 0", "compares 1 template without images: 99"),
        (COMPARISONS, "-9 12 0", "compares 1 template without images: -9"),
        (COMPARISONS, "11 11 1", "compares 11 with itself"),
        (COMPARISONS, "12 11 0", "lists 11 and 12 as mated and as non-mated"),
        (POINTS, "3.jpg 1 2 3", "line 3: 4 columns in place of 12"),
        (
            POINTS,
            "3.jpg" + " 1" * 10 + " good",
            "line 3: 'good' is not a finite number",
        ),
        (POINTS, "3.jpg" + " nan" * 10 + " 1", "line 3: 'nan' is not a finite number"),
        (POINTS, "4.jpg" + " 1" * 11, "lists 4.jpg more than once"),
        (POINTS, "99.jpg" + " 1" * 11, "has no points of 1 image: 3.jpg"),
    ],
)
def test_bad_lines_are_named(ijbc, file, line, reason):
    lines = (ijbc / file).read_text().splitlines()
    lines[2] = line
    (ijbc / file).write_text("\n".join(lines))
    with pytest.raises(InputError, match=reason) as excinfo:
        read_benchmark(ijbc)
    assert file in str(excinfo.value)
    assert len(str(excinfo.value).splitlines()) == 1


@pytest.mark.parametrize("file", [COMPARISONS, POINTS, "loose_crop"])
def test_absent_files(ijbc, file):
    (ijbc / file).rename(ijbc / "elsewhere")
    with pytest.raises(InputError, match=file.rpartition("/")[2]):
        read_benchmark(ijbc)


def test_no_members(tmp_path):
    with pytest.raises(InputError, match=r"has no file \*_face_tid_mid\.txt"):
        read_benchmark(tmp_path, "ijbc")


def test_points_that_fix_no_face(ijbc):
    pytest.importorskip("cv2")
    lines = (ijbc / POINTS).read_text().splitlines()
    lines[0] = "1.jpg" + " 5" * 10 + " 1"
    # Where a detector has placed the eyes the other way round, it counts all the same.
    words = lines[1].split()
    lines[1] = " ".join([words[0], *words[3:5], *words[1:3], *words[5:]])
    (ijbc / POINTS).write_text("\n".join(lines))
    folder = read_benchmark(ijbc).images
    (batch,) = load_batches(
        folder, height=112, width=112, batch_size=30, on_bad_image="skip"
    )
    ((name, reason),) = batch.skipped
    assert (name, reason[:40]) == ("1.jpg", "cannot be aligned: all points coincide, ")
    assert "2.jpg" in batch.names
