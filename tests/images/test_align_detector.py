"""Detection: rows read, faces chosen, and OpenCV's own class on a tiny network."""

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from yunet_like import CELL, PLACES, write_detector

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import BadImage
from prefiqs_jax.images.align import (
    Detection,
    check_landmarks,
    choose,
    find_faces,
    locate,
    open_detector,
    read_rows,
)

ROW = [10, 20, 30, 40, 15, 30, 35, 31, 25, 40, 17, 52, 33, 53, 0.9]


class Fake:
    """Answers for each size of image asked for."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    def setInputSize(self, size):
        self.asked.append(size)

    def detect(self, picture):
        assert picture.shape[1::-1] == self.asked[-1]
        assert picture.flags.c_contiguous
        return 1, self.answers.get(self.asked[-1])


def box(x, y, width, height, score=0.9):
    return Detection((x, y, width, height), np.zeros((5, 2)), score)


def test_rows():
    better = [*ROW[:14], 0.95]
    found = read_rows(np.array([ROW, better, [*ROW[:4], np.nan, *ROW[5:]]], np.float32))
    assert [face.score for face in found] == pytest.approx([0.95, 0.9])
    assert found[1].box == (10, 20, 30, 40)
    np.testing.assert_array_equal(
        found[0].landmarks, [[15, 30], [35, 31], [25, 40], [17, 52], [33, 53]]
    )
    check_landmarks(found[0].landmarks)  # so the order is that of the image
    assert read_rows(None) == []
    assert read_rows(np.zeros((0, 15))) == []
    with pytest.raises(InputError, match=r"shape \(1, 14\), not \(faces, 15\)"):
        read_rows(np.zeros((1, 14)))


def test_the_largest_central_face_is_chosen():
    middle, large, corner = box(40, 40, 20, 20), box(25, 30, 40, 40), box(0, 0, 60, 60)
    assert choose([], 100, 100) is None
    assert choose([middle, large], 100, 100) is large
    # 3600 px at 28 px from the middle (of 71) against 1600 px at 7.
    assert choose([large, corner], 100, 100) is corner
    near = box(45, 45, 9, 9)
    assert choose([box(0, 0, 10, 10), near], 100, 100) is near
    # Only what lies in the image counts.
    assert choose([box(-80, -80, 100, 100), middle], 100, 100) is middle
    twins = [box(20, 40, 20, 20), box(60, 40, 20, 20)]
    assert choose(twins, 100, 100) is twins[0]


def test_colours_and_size_are_those_that_opencv_expects():
    seen = []

    class Camera(Fake):
        def detect(self, picture):
            seen.append(picture[0, 0].tolist())
            return super().detect(picture)

    picture = np.broadcast_to(np.array([1, 2, 3], np.uint8), (40, 60, 3))
    fake = Camera({(60, 40): np.array([ROW])})
    (face,) = find_faces(fake, picture)
    assert fake.asked == [(60, 40)]
    assert seen == [[3, 2, 1]]
    np.testing.assert_allclose(face.landmarks[1], (35, 31))


def test_large_pictures_are_shrunk_until_a_face_is_found():
    fake = Fake({(160, 80): np.array([ROW])})
    (face,) = find_faces(fake, np.zeros((1280, 2560, 3), np.uint8))
    assert fake.asked == [(640, 320), (320, 160), (160, 80)]
    assert face.box == (160, 320, 480, 640)
    # The middle of pixel 15 of 160 is 15.5 / 160 of the way, of 2560 pixels 247.5.
    np.testing.assert_allclose(face.landmarks[0], (247.5, 487.5))
    assert find_faces(Fake({}), np.zeros((30, 50, 3), np.uint8)) == []


def test_no_face_names_the_picture():
    picture = np.zeros((40, 60, 3), np.uint8)
    with pytest.raises(BadImage, match=r"x/a\.png shows no face .*60×40") as refused:
        locate("x/a.png", picture, lambda _: [])
    assert "\n" not in str(refused.value)
    found = locate("a.png", picture, lambda _: read_rows(np.array([ROW])))
    np.testing.assert_array_equal(found[2], (25, 40))


@pytest.mark.parametrize("size", [(64, 64), (90, 150), (1280, 960)])
def test_opencvs_detector(tmp_path, size):
    write_detector(tmp_path / "tiny.onnx")
    detect = open_detector(tmp_path / "tiny.onnx")
    picture = np.zeros((*size, 3), np.uint8)
    assert detect(picture) == []
    scale = max(1, max(size) / 640)
    x, y = 3, 5
    first, last = (round(each * CELL * scale) for each in (x, x + 1))
    top, bottom = (round(each * CELL * scale) for each in (y, y + 1))
    picture[top:bottom, first:last, 0] = 255
    (face,) = detect(picture)
    expected = np.add(PLACES, (x, y)) * CELL
    if scale > 1:
        expected = (expected + 0.5) * scale - 0.5
    np.testing.assert_allclose(face.landmarks, expected, atol=1e-3)
    assert face.score > 0.99
    picture[top:bottom, first:last] = (0, 0, 255)  # blue is no face
    assert detect(picture) == []


def test_what_is_no_detector(tmp_path, capfd):
    (tmp_path / "text.onnx").write_text("hello")
    (tmp_path / "empty.onnx").touch()
    node = helper.make_node("Relu", ["input"], ["y"])
    image, out = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 64, 64])
        for name in ("input", "y")
    )
    graph = helper.make_graph([node], "other", [image], [out])
    opset = [helper.make_opsetid("", 13)]
    onnx.save(
        helper.make_model(graph, opset_imports=opset, ir_version=8),
        tmp_path / "other.onnx",
    )
    before = cv2.utils.logging.getLogLevel()
    for name in ("text", "empty", "other"):
        with pytest.raises(InputError, match=rf"{name}.onnx is not a YuNet") as refused:
            open_detector(tmp_path / f"{name}.onnx")
        assert "\n" not in str(refused.value)
    for name in ("gone.onnx", "."):
        with pytest.raises(InputError, match=r"there is no detector .*; give face_det"):
            open_detector(tmp_path / name)
    assert cv2.utils.logging.getLogLevel() == before
    assert "Traceback" not in capfd.readouterr().err
