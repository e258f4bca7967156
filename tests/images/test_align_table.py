"""Tables of landmarks: read as they are written, refused in one line."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.images.align import (
    LANDMARK_COLUMNS,
    TEMPLATES,
    LandmarkTable,
    describe_unusable,
    has_landmarks,
    plan_crops,
    read_landmarks,
)

HEADER = ",".join(("file", "identity", *LANDMARK_COLUMNS))
POINTS = TEMPLATES["arcface"].points
VALUES = ",".join(f"{value:g}" for value in POINTS.ravel())


@pytest.fixture
def write(tmp_path):
    def table(*lines, name="images.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return table


def folder(tmp_path, *names, identities=None):
    people = identities or (None,) * len(names)
    return ImageFolder(tmp_path, names, tuple(people), None, ())


def test_read(write):
    shuffled = ",".join(("score", *reversed(LANDMARK_COLUMNS), "identity", "file"))
    backwards = ",".join(reversed(VALUES.split(",")))
    for path in (
        write(HEADER, f"b/1.jpg,Anna,{VALUES}", f"./c.png,,{VALUES}"),
        write(shuffled, f"0.9,{backwards},Anna,b\\1.jpg", f"1,{backwards}, ,c.png"),
    ):
        table = read_landmarks(path)
        assert table.files == ("b/1.jpg", "c.png")
        assert table.identities == ("Anna", None)
        assert table.points.dtype == np.float64
        np.testing.assert_allclose(table.points, [POINTS, POINTS])


def test_identities_may_be_absent(write):
    table = read_landmarks(write(HEADER.replace("identity,", ""), f"a.png,{VALUES}"))
    assert table.identities is None


def test_ijbc(write):
    words = VALUES.replace(",", " ")
    table = read_landmarks(
        write(f"1.jpg {words} 0.99", f"2.jpg {words} 1", name="x.txt")
    )
    assert table.files == ("1.jpg", "2.jpg")
    assert table.identities is None
    np.testing.assert_allclose(table.points[1], POINTS)
    with pytest.raises(InputError, match="line 2 has 2 fields, not 12"):
        read_landmarks(write(f"1.jpg {words} 0.99", "2.jpg 7", name="y.txt"))


def test_what_is_no_number_is_unusable(write, tmp_path):
    gap = VALUES.partition(",")[2]
    table = read_landmarks(
        write(HEADER, f"a.png,A,,{gap}", f"b.png,A,nan,{gap}", f"c.png,A,{VALUES}")
    )
    assert np.isnan(table.points[:2, 0, 0]).all()
    assert np.isfinite(table.points[2]).all()
    tasks, unusable = plan_crops(folder(tmp_path, "a.png", "b.png", "c.png"), table)
    assert [task.name for task in tasks] == ["c.png"]
    assert [name for name, _ in unusable] == ["a.png", "b.png"]
    assert "left_eye is not finite" in describe_unusable(table, unusable)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([HEADER], "lists no images"),
        (["file,identity,left_eye_x"], "no column left_eye_y, right_eye_x"),
        (["a.png 1 2 3"], "has no column file, left_eye_x"),
        ([HEADER, f"a.png,A,{VALUES}x"], "mouth_right_y of a.png is '92.2041x'"),
        ([HEADER, f"a.png,A,{VALUES}", f"a.png,B,{VALUES}"], "lists a.png twice"),
    ],
)
def test_bad_tables(write, lines, told):
    with pytest.raises(InputError, match=told) as refused:
        read_landmarks(write(*lines))
    assert "\n" not in str(refused.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match="there is no table of landmarks"):
        read_landmarks(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="cannot read"):
        read_landmarks(tmp_path)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        read_landmarks(tmp_path / "binary.csv")


def test_has_landmarks(write, tmp_path):
    assert has_landmarks(write(HEADER))
    assert not has_landmarks(write("file,identity"))
    assert not has_landmarks(tmp_path / "gone.csv")
    assert not has_landmarks(tmp_path)


def test_pictures_are_found_with_another_extension(write, tmp_path):
    table = read_landmarks(
        write(HEADER, f"x/a.png,A,{VALUES}", f"b.jpg,B,{VALUES}", f"b.png,C,{VALUES}")
    )
    tasks, unusable = plan_crops(folder(tmp_path, "x/a.jpg", "b.jpg", "z.png"), table)
    assert [(t.name, t.crop, t.identity) for t in tasks] == [
        ("x/a.jpg", "x/a.png", "A"),
        ("b.jpg", "b.png", "B"),  # its own name goes before b.png
    ]
    assert unusable == [("z.png", "has no landmarks")]
    with pytest.raises(InputError, match=r"b.bmp may be b.jpg or b.png"):
        plan_crops(folder(tmp_path, "b.bmp"), table)


def test_identities_of_the_table_go_first(write, tmp_path):
    table = read_landmarks(write(HEADER, f"a.png,A,{VALUES}", f"b.png,,{VALUES}"))
    here = folder(tmp_path, "a.png", "b.png", identities=("x", "y"))
    assert [task.identity for task in plan_crops(here, table)[0]] == ["A", "y"]
    assert [task.identity for task in plan_crops(here, None)[0]] == ["x", "y"]


def test_two_pictures_of_one_crop(tmp_path):
    with pytest.raises(InputError, match=r"both become a\.png"):
        plan_crops(folder(tmp_path, "a.jpg", "a.png"), None)


def test_all_unusable_pictures_are_counted(tmp_path):
    points = np.stack([POINTS, POINTS[[1, 0, 2, 3, 4]]])
    table = LandmarkTable(tmp_path / "t.csv", ("a.png", "swapped.png"), None, points)
    names = ["a.png", "b.png", "c.png", "d.png", "e.png", "swapped.png"]
    _, unusable = plan_crops(folder(tmp_path, *names), table)
    told = describe_unusable(table, unusable)
    assert told.startswith(
        "5 images cannot be aligned: b.png, c.png, d.png and 2 more. b.png has no "
        "landmarks; correct"
    )
    assert "left eye" in describe_unusable(table, unusable[-1:])
    assert told.endswith("--on-bad-image skip")
    assert "\n" not in told
