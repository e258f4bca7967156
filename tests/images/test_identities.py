"""Who is in images of folders within folders: asked for and said, never guessed."""

import numpy as np
import pytest
from PIL import Image
from yunet_like import write_detector

from prefiqs_jax.benchmarks import read_benchmark
from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder

SESSIONS = tuple(
    f"{person:03d}/{view}/{shot}.png"
    for person in range(3)
    for view in ("frontal", "profile")
    for shot in range(2)
)
SPLITS = ("train/ann/1.png", "train/bob/1.png", "val/ann/2.png", "val/eve/1.png")
LAYOUTS = {
    "sessions": SESSIONS,
    "splits": SPLITS,
    "one folder above all": ("faces/ann/1.png", "faces/ann/2.png", "faces/bob/1.png"),
    "one person": ("ann/0/1.png", "ann/1/1.png"),
    "other depths": ("ann/1.png", "bob/0/1.png", "c.png"),
    "three folders": ("set/ann/0/1.png", "set/bob/0/1.png"),
    "one image": ("ann/0/1.png",),
}


def fill(root, names, size=112):
    """Save faces that differ, under these names."""
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(root / name)
    return root


@pytest.fixture
def sessions(tmp_path):
    return fill(tmp_path / "faces", SESSIONS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_levels_are_a_question(tmp_path, layout):
    names = LAYOUTS[layout]
    root = fill(tmp_path / "faces", names, size=1)
    with pytest.raises(InputError) as caught:
        read_folder(root)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.startswith(f"{root}: its images lie ")
    assert "give --identity-level 1 (" in message
    assert message.endswith("write images.csv with the columns file and identity")
    folder = read_folder(root, identities_matter=False)
    assert set(folder.identities) == {None}
    assert folder.identity_source is None
    assert folder.notes == (message.removeprefix(f"{root}: "),)
    assert folder.lines[0].endswith(("who is in them is unknown", "in it is unknown"))
    unknown = read_folder(root, 0)
    assert (set(unknown.identities), unknown.notes) == ({None}, ())


def test_the_question_counts_the_people_of_each_level(sessions):
    with pytest.raises(InputError) as caught:
        read_folder(sessions)
    assert "2 folders deep (000/frontal/0.png)" in str(caught.value)
    assert "1 (3 people, the first is 000), 2 (6 people, the first is 000/fr" in str(
        caught.value
    )


def test_levels(sessions):
    first = read_folder(sessions, identity_level=1)
    assert first.identities == tuple(name.split("/")[0] for name in first.names)
    assert (first.identity_source, first.notes) == ("folders", ())
    assert first.lines == (
        f"{sessions}: 12 images of 3 people (identities from folders)",
    )
    second = read_folder(sessions, identity_level=2)
    assert second.identities == tuple(name.rpartition("/")[0] for name in second.names)
    assert second.identity_source == "the first 2 folders"
    assert (
        "12 images of 6 people (identities from the first 2 folders)"
        in (second.lines[0])
    )
    for level in (3, -1):
        with pytest.raises(InputError, match=rf"level {level} .* 000/frontal/0\.png"):
            read_folder(sessions, level)


def test_people_of_two_splits_are_pointed_out(tmp_path):
    folder = read_folder(fill(tmp_path, SPLITS, size=1), 2)
    assert folder.identity_count == 4
    (note,) = folder.notes
    assert note.startswith("train/ann and val/ann count as two people")
    assert read_folder(tmp_path, 1).notes == ()  # of sets called train and val


def test_images_that_lie_less_deep(tmp_path):
    root = fill(tmp_path, LAYOUTS["other depths"], size=1)
    folder = read_folder(root, 1)
    assert folder.identities == ("ann", "bob", None)
    assert folder.lines == (
        f"{root}: 3 images of 2 people (identities from folders; 1 image has none)",
        "who is in c.png is unknown: it lies less deep than the level",
    )


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (("1.png", "2.png"), ["2 images, who is in them is unknown"]),
        (
            ("ann/1.png", "ann/2.png"),
            ["who is in them is unknown", "all images lie in one folder; at identity"],
        ),
        (
            ("1.png", "ann/2.png", "bob/1.png"),
            ["who is in them is unknown", "since 1.png lies in no folder"],
        ),
        (
            ("ann/1.png", "bob/1.png"),
            ["2 images of 2 people (identities from folders)"],
        ),
    ],
)
def test_one_level_is_no_question(tmp_path, names, lines):
    found = read_folder(fill(tmp_path, names, size=1)).lines
    assert len(found) == len(lines)
    assert all(part in line for part, line in zip(lines, found, strict=True))
    if names != ("1.png", "2.png"):
        folders = {name.partition("/")[0] for name in names if "/" in name}
        assert read_folder(tmp_path, 1).identity_count == len(folders)


def test_a_table_answers_and_a_level_overrules_it(sessions):
    rows = [f"{name},{name[2]}" for name in SESSIONS]
    table = sessions / "images.csv"
    table.write_text("\n".join(["file,identity", *rows]))
    folder = read_folder(sessions)
    assert (folder.identity_count, folder.identity_source) == (3, "images.csv")
    assert "12 images of 3 people (identities from images.csv)" in folder.lines[0]
    assert read_folder(sessions, 2).identity_count == 6
    table.write_text("\n".join(["file,identity", *(f"{name}," for name in SESSIONS)]))
    assert read_folder(sessions).notes == ("images.csv names nobody",)


def test_a_benchmark_of_folders(sessions):
    with pytest.raises(InputError, match=r"give --identity-level 1 \(3 people"):
        read_benchmark(sessions)
    benchmark = read_benchmark(sessions, identity_level=1)
    assert benchmark.mated_count == 3 * 6
    assert benchmark.non_mated_count == 12 * 11 // 2 - 18
    assert benchmark.notes[-1] == (
        f"{sessions}: 12 images of 3 people (identities from folders)"
    )


def test_a_benchmark_that_is_a_table(sessions):
    table = sessions.parent / "pairs.csv"
    lines = [f"{SESSIONS[0]},{SESSIONS[2]},1", f"{SESSIONS[0]},{SESSIONS[4]},0"]
    table.write_text("\n".join(["image_a,image_b,mated", *lines]))
    asked = read_benchmark(table, images=sessions)
    assert set(asked.identities) == {None}
    assert any("give --identity-level 1 (3 people" in note for note in asked.notes)
    told = read_benchmark(table, images=sessions, identity_level=1)
    assert told.identities == ("000", "000", "001")
    assert "3 images of 2 people" in told.notes[-1]


def test_adience_says_it_in_the_names_of_files(tmp_path):
    names = [
        f"fold_{n % 2}/account/coarse_tilt_aligned_face.{n // 2}.{n}.jpg"
        for n in range(8)
    ]
    benchmark = read_benchmark(fill(tmp_path, names, size=1))
    assert benchmark.identity_source == "file names of Adience"
    assert not any("--identity-level" in note for note in benchmark.notes)


QUESTION = "give --identity-level 1 (3 people, the first is 000), 2 (6 people, the firs"


@pytest.mark.parametrize("command", ["sweep", "check", "edc"])
def test_commands_ask(sessions, tmp_path, capsys, command):
    words = ["--benchmark" if command == "edc" else "--images", str(sessions)]
    if command != "check":
        words += ["--out", str(tmp_path / "out")]
    assert main([command, "--backbone", "demo", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert QUESTION in line
    assert not (tmp_path / "out").exists()


def score(root, tmp_path, *words):
    given = ["--images", str(root), "--out", str(tmp_path / "scores.csv")]
    return main(["score", "--backbone", "demo", *given, *words])


@pytest.mark.slow
def test_scores_need_no_identities(sessions, tmp_path, capsys):
    assert score(sessions, tmp_path) == 0
    told = capsys.readouterr().err
    assert f"{sessions}: 12 images, who is in them is unknown\n" in told
    assert QUESTION in told
    scores = (tmp_path / "scores.csv").read_text()
    assert score(sessions, tmp_path, "--identity-level", "1") == 0
    told = capsys.readouterr().err
    assert f"{sessions}: 12 images of 3 people (identities from folders)\n" in told
    assert QUESTION not in told
    assert (tmp_path / "scores.csv").read_text() == scores
    assert score(sessions, tmp_path, "--quiet") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_sweep_says_and_records_who_is_there(sessions, tmp_path, capsys):
    out = ["--images", str(sessions), "--out", str(tmp_path / "run")]
    words = ["sweep", "--backbone", "demo", *out, "--sparsities", "0.4"]
    assert main([*words, "--identity-level", "1"]) == 0
    line = f"{sessions}: 12 images of 3 people (identities from folders)"
    assert line in capsys.readouterr().err.splitlines()
    assert '"identities": 3' in (tmp_path / "run" / "run.json").read_text()


def test_an_alignment_hands_the_people_on(tmp_path, capsys):
    source = fill(tmp_path / "source", ["ann/0/1.png", "bob/0/1.png"])
    for name in ("ann/0/1.png", "bob/0/1.png"):
        pixels = np.zeros((120, 100, 3), np.uint8)
        pixels[8:16, 48:56] = (255, 0, 0)
        Image.fromarray(pixels).save(source / name)
    write_detector(tmp_path / "yunet.onnx")
    detector = ["--detector", str(tmp_path / "yunet.onnx")]
    for level, people in ((None, [None, None]), (1, ["ann", "bob"])):
        out = tmp_path / f"level_{level}"
        more = [] if level is None else ["--identity-level", str(level)]
        assert main(["align", str(source), str(out), *detector, *more]) == 0
        told = capsys.readouterr().err
        assert ("2 images, who is in them is unknown" in told) is (level is None)
        assert ("2 images of 2 people (identities from folders)" in told) is bool(level)
        assert list(read_folder(out).identities) == people
