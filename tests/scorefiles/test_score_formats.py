"""Every form of score file, written here as its authors' programs write it."""

import json
import pickle

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles import read_scores

VALUES = [0.1, 2 / 3, -1e-17, 123456789.123456789]
PATHS = [f"/data/my faces/ann/{n:04d}.jpg" for n in range(4)]


@pytest.fixture
def write(tmp_path):
    def writer(content, name="scores"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return writer


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        read_scores(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


TEXTS = {
    "lines": "".join(f"{p} {v!r}\n" for p, v in zip(PATHS, VALUES, strict=True)),
    "windows": "\ufeff"
    + "".join(f"{p}\t{v!r}\r\n" for p, v in zip(PATHS, VALUES, strict=True)),
    "headed": "path,CR-FIQA\n"
    + "".join(f"{p},{v!r}\n" for p, v in zip(PATHS, VALUES, strict=True)),
    "bare": "".join(f'"{p}";{v!r}\n' for p, v in zip(PATHS, VALUES, strict=True)),
    "indexed": ",name,score\n"
    + "".join(
        f"{n},{p},{v!r}\n" for n, (p, v) in enumerate(zip(PATHS, VALUES, strict=True))
    ),
    "json": json.dumps(dict(zip(PATHS, VALUES, strict=True)), indent=1),
}


@pytest.mark.parametrize("form", TEXTS)
def test_text_forms(write, form):
    scores = read_scores(write(TEXTS[form]))
    assert list(scores.names) == PATHS
    assert scores.values.tolist() == VALUES  # to the last bit
    assert scores.direction is None
    assert scores.method is None


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "convert",
    [
        float,
        np.float64,
        np.array,
        lambda v: np.array([v]),
        lambda v: np.array(v, ">f8"),
    ],
)
def test_pickles_of_python_3(write, protocol, convert):
    values = {p: convert(v) for p, v in zip(PATHS, VALUES, strict=True)}
    scores = read_scores(write(pickle.dumps(values, protocol)))
    assert list(scores.names) == PATHS
    assert scores.values.tolist() == VALUES


@pytest.mark.parametrize(
    "dtype",
    [
        *("float16", "float32", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_pickles_of_numpy_numbers(write, dtype, protocol):
    number = np.array(77.6 if dtype[0] == "f" else 77, dtype)[()]
    scores = read_scores(write(pickle.dumps({"a.png": number}, protocol)))
    assert scores.values.tolist() == [float(number)]


def test_pickles_of_python_2(write):
    # As cPickle of Python 2.7 writes {'a\xc3\xa9.png': 0.5, u'b.png': 7,
    # 'c.png': numpy.float32(0.25)} with protocol 2, except for the order.
    numpy_float32 = (
        b"cnumpy.core.multiarray\nscalar\nq\x03"
        b"cnumpy\ndtype\nq\x04U\x02f4q\x05K\x00K\x01\x87q\x06Rq\x07"
        b"(K\x03U\x01<q\x08NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x09b"
        b"U\x04\x00\x00\x80>q\x0a\x86q\x0bRq\x0c"
    )
    content = (
        b"\x80\x02}q\x00(U\x07a\xc3\xa9.pngq\x01G?\xe0\x00\x00\x00\x00\x00\x00"
        b"X\x05\x00\x00\x00b.pngq\x02K\x07"
        b"U\x05c.pngq\x0d" + numpy_float32.replace(b"q\x03", b"q\x0e") + b"u."
    )
    # The places of the memo in order, as picklers number them.
    content = content.replace(b"q\x0d", b"q\x03", 1).replace(b"q\x0e", b"q\x03", 1)
    scores = read_scores(write(content))
    assert scores.names == ("aé.png", "b.png", "c.png")
    assert scores.values.tolist() == [0.5, 7, 0.25]


def test_scores_of_this_package(write):
    table = "image,quality,drift\nann/1.png,0.75,0.5\nbob/2.png,0.5,1.0\n"
    scores = read_scores(write(table))
    assert (scores.method, scores.direction) == ("prefiqs", "higher")
    assert scores.values.tolist() == [0.75, 0.5]
    drift = read_scores(write(table), column="drift")
    assert drift.direction == "lower"
    assert drift.values.tolist() == [0.5, 1.0]


OFIQ = (
    "Filename;UnifiedQualityScore;Luminance;UnifiedQualityScore.scalar;"
    "Luminance.scalar;\n"
    "faces/a.png;23.914062;0.25;51;98\n"
    "faces/b.png;0;0;-1;-1\n"
    "faces/c.png;20;0.5;30;77\n"
)


def test_ofiq(write):
    scores = read_scores(write(OFIQ))
    assert scores.column == "UnifiedQualityScore.scalar"
    assert scores.columns == (
        *("UnifiedQualityScore", "Luminance"),
        *("UnifiedQualityScore.scalar", "Luminance.scalar"),
    )
    assert (scores.method, scores.direction) == ("OFIQ UnifiedQualityScore", "higher")
    assert scores.values.tolist() == [51, -1, 30]
    _, note = scores.notes
    assert "could not assess 1 images (first: faces/b.png)" in note


def test_ofiq_measures_as_they_are(write):
    scores = read_scores(write(OFIQ), column="Luminance")
    assert (scores.method, scores.direction) == ("OFIQ Luminance", None)
    np.testing.assert_array_equal(scores.values, [0.25, np.nan, 0.5])
    assert "no Luminance" in scores.notes[1]
    assert "-1 there" not in scores.notes[1]


def test_magface_feature_list(write):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, 512))
    paths = ["/x/a.jpg", "/my faces/img 7", "c.jpg"]
    lines = [
        " ".join([path, *(f"{number:.17g}" for number in row)])
        for path, row in zip(paths, features, strict=True)
    ]
    scores = read_scores(write("\n".join(lines)))
    assert list(scores.names) == paths
    assert (scores.method, scores.direction) == ("norm", "higher")
    np.testing.assert_allclose(
        scores.values, np.linalg.norm(features, axis=1), rtol=1e-14
    )
    short = lines[2].rsplit(" ", 500)[0]
    message = refused(write("\n".join([*lines[:1] * 400, short])))
    assert message.startswith("line 401, c.jpg")


def test_paths_with_commas_are_no_table(write):
    scores = read_scores(write("Smith, Ann.jpg 0.5\nDoe, John.jpg 0.25\n"))
    assert scores.names == ("Smith, Ann.jpg", "Doe, John.jpg")
    assert scores.values.tolist() == [0.5, 0.25]


def test_a_path_that_comes_twice_has_two_rows(write):
    assert read_scores(write('{"a": 1, "a": 2}')).values.tolist() == [1, 2]
    double = b"\x80\x02}q\x00(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00aK\x02u."
    assert pickle.loads(double) == {"a": 2}
    assert read_scores(write(double)).values.tolist() == [1, 2]


BAD = {
    "a.png 0.5\n\nb.png x0.5\n": "line 3: the score of b.png is x0.5, no number",
    "a.png 0.5\nb.png\n": "line 2 has one field, b.png",
    "a.png 1_000\nb.png 0.5": "line 1: the score of a.png is 1_000, no number",
    "image,quality\na.png,0.5\nb.png,\n": "line 3: the score of b.png is nothing",
    "image,quality\na.png,0.5\n,0.5\n": "line 3 names no image",
    "image;quality\na.png;0,5\nb.png;0,7": "write numbers with a decimal point",
    "image,a,b\nx.png,1,2\ny.png,3,4\n": "2 columns are meant to hold numbers, a, b; ",
    "image,quality,drift\n": "holds no scores",
    "": "holds no scores",
    "\n \n": "holds no scores",
    "{}": "holds no scores",
    "[1, 2]": "its JSON is no object",
    '{"a": 0.5,\n "b": }': "line 2 is no valid JSON",
    '{"a": [0.5]}': "the score of a is [0.5], no number",
    '{"a": true}': "the score of a is true, no number",
    '{"a": "87%"}': 'the score of a is "87%", no number',
    '{"a": null}': "the score of a is null, no number",
    '{"scores": {"a": 0.5}}': "the score of scores is an object, no number",
    "[" * 100_000: "lists within lists",
    b"\xff\xfea\x00": "is no UTF-8 text",
    b"\x89PNG\r\n\x1a\n": "is no UTF-8 text",
}


@pytest.mark.parametrize("content", BAD, ids=lambda c: repr(c)[:30])
def test_bad_text(write, content):
    assert BAD[content] in refused(write(content))


def test_missing_files(tmp_path):
    assert "No such file" in refused(tmp_path / "none.txt")
    assert "directory" in refused(tmp_path)


def test_a_row_that_is_longer_than_the_header(write):
    rows = "".join(f"{n}.png,0.5\n" for n in range(30_000))
    message = refused(write("image,quality\n" + rows + "x.png,0.5,7\n"))
    assert message.startswith("line 30002 has 3 cells, but there are 2 columns")


def test_columns(write):
    table = write("image,a,b\nx.png,1,2\ny.png,3,4\n")
    assert read_scores(table, column="b").values.tolist() == [2, 4]
    assert "has no column c; those with numbers are a, b" in refused(table, column="c")
    assert "names the images" in refused(table, column="image")
    lines = write("x.png 0.5\ny.png 0.7", "lines")
    assert "and a score, no table; leave out column b" in refused(lines, column="b")


def test_many_rows_are_read_in_a_moment(write):
    rows = 100_000
    text = "".join(f"/data/ijbc/loose_crop/{n}.jpg {n / 7!r}\n" for n in range(rows))
    scores = read_scores(write(text))
    assert len(scores.names) == rows
    np.testing.assert_array_equal(scores.values, np.arange(rows) / 7)
