"""insightface's .bin files: by Python 2 and 3, damaged, and malicious."""

import contextlib
import os
import pickle
import pickletools

import numpy as np
import pytest
from benchmarks.benchmark_writers import (
    bin_pictures,
    encoded,
    listed,
    person_picture,
    python2_pickle,
)

from prefiqs_jax import unpickle
from prefiqs_jax.benchmarks import packed, read_benchmark
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import check_headers, decode, load_batches

SMALL = 14


def write(path, content, protocol=pickle.HIGHEST_PROTOCOL):
    data = content if isinstance(content, bytes) else pickle.dumps(content, protocol)
    path.write_bytes(data)
    return path


def refusal(path, content, **how):
    with pytest.raises(InputError) as excinfo:
        read_benchmark(write(path, content, **how))
    message = str(excinfo.value)
    assert len(message.splitlines()) == 1
    assert str(path) in message
    return message


def check(benchmark, pictures, labels):
    """Compare a benchmark with what was pickled, image by image."""
    names = benchmark.images.names
    compared = listed(benchmark)
    assert compared.mated.tolist() == [bool(each) for each in labels]
    for place, each in enumerate(pictures):
        chosen = compared[place % 2][place // 2]
        assert benchmark.images.store.images[names[chosen]] == bytes(each)


def test_a_file_of_python_2(tmp_path):
    pictures, labels = bin_pictures(6, size=112)
    pictures[0] = encoded(np.zeros((2, 2, 3), np.uint8), "PNG")
    assert len(pictures[0]) < 256 < len(pictures[1])
    data = python2_pickle(pictures, labels)
    names = {opcode.name for opcode, _, _ in pickletools.genops(data)}
    assert {"PROTO", "SHORT_BINSTRING", "BINSTRING", "LONG_BINPUT"} <= names
    assert pickle.loads(data, encoding="bytes") == (pictures, labels)
    benchmark = read_benchmark(write(tmp_path / "toy.bin", data))
    assert (benchmark.kind, benchmark.name) == ("bin", "toy")
    check(benchmark, pictures, labels)
    assert benchmark.images.names == tuple(f"{n:05d}.jpg" for n in range(12))
    assert set(benchmark.identities) == {None}
    assert [e.dtype for e in listed(benchmark)] == [np.int32, np.int32, bool]


@pytest.mark.parametrize("protocol", range(6))
def test_files_of_python_3(tmp_path, protocol):
    pictures, labels = bin_pictures(4, SMALL)
    path = write(tmp_path / "a.bin", (pictures, labels), protocol)
    check(read_benchmark(path), pictures, labels)
    path = write(tmp_path / "b.bin", [tuple(pictures), [int(e) for e in labels]])
    check(read_benchmark(path), pictures, labels)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_pictures_as_opencv_gives_them(tmp_path, protocol, shape):
    pictures, labels = bin_pictures(4, SMALL)
    arrays = [np.frombuffer(p, np.uint8).reshape(shape).copy() for p in pictures]
    path = write(tmp_path / "a.bin", (arrays, labels), protocol)
    check(read_benchmark(path), pictures, labels)
    path = write(tmp_path / "b.bin", (pictures, np.array(labels)), protocol)
    check(read_benchmark(path), pictures, labels)
    path = write(tmp_path / "c.bin", (pictures, list(np.array(labels))), protocol)
    check(read_benchmark(path), pictures, labels)
    path = write(tmp_path / "d.bin", (pictures, list(np.array(labels, int))), protocol)
    check(read_benchmark(path), pictures, labels)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_objects(tmp_path, protocol):
    pictures, labels = bin_pictures(4, SMALL)
    objects, truths = np.empty(8, object), np.empty(4, object)
    objects[:], truths[:] = pictures, labels
    path = write(tmp_path / "a.bin", (objects, truths), protocol)
    check(read_benchmark(path), pictures, labels)


def test_a_dict_is_told_by_its_keys(tmp_path):
    pictures, labels = bin_pictures(2, SMALL)
    message = refusal(tmp_path / "a.bin", {"bins": pictures, "issame_list": labels})
    assert "a dict (bins, issame_list)" in message


def test_arrays_of_python_2(tmp_path):
    """The names and strings that Python 2 wrote of an array, opcode by opcode."""
    picture = encoded(person_picture(0, 0, SMALL), "PNG")
    length = len(picture).to_bytes(2, "little")
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85"
        b"U\x01b\x87R(K\x01M" + length + b"K\x01\x86cnumpy\ndtype\nU\x02u1K\x00K\x01"
        b"\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + len(picture).to_bytes(4, "little")
        + picture
        + b"tb"
    )
    other = b"U\x03abc"
    data = b"\x80\x02](" + array + other + other + other + b"e](\x88\x89e\x86."
    with_arrays = pickle.loads(data, encoding="bytes")
    assert with_arrays[0][0].tobytes() == picture
    benchmark = read_benchmark(write(tmp_path / "a.bin", data))
    check(benchmark, [picture, b"abc", b"abc", b"abc"], [True, False])


def test_pictures_stream_from_memory(tmp_path):
    pictures, labels = bin_pictures(4, SMALL)
    folder = read_benchmark(write(tmp_path / "a.bin", (pictures, labels))).images
    (batch,) = load_batches(folder, height=SMALL, width=SMALL, batch_size=9)
    assert batch.names == folder.names
    for data, pixels in zip(pictures, batch.pixels, strict=True):
        (tmp_path / "one.jpg").write_bytes(data)
        np.testing.assert_array_equal(pixels, decode(tmp_path / "one.jpg").pixels)
    assert check_headers(folder, SMALL, SMALL) == []
    assert len(check_headers(folder, SMALL, SMALL + 1)) == 8


def test_bad_pictures_are_named(tmp_path):
    pictures, labels = bin_pictures(4, SMALL)
    pictures[2], pictures[5] = b"", b"no image"
    folder = read_benchmark(write(tmp_path / "a.bin", (pictures, labels))).images
    assert check_headers(folder, SMALL, SMALL) == [
        ("00002.jpg", "is empty (0 bytes)"),
        (
            "00005.jpg",
            "is not an image that can be read (PNG, JPEG, BMP, WEBP, TIFF, PPM)",
        ),
    ]


def test_equal_pictures_are_one_image(tmp_path):
    pictures, labels = bin_pictures(4, SMALL)
    pictures[6] = pictures[1]
    benchmark = read_benchmark(write(tmp_path / "a.bin", (pictures, labels)))
    assert len(benchmark.images.names) == len(benchmark.identities) == 7
    assert "00006.jpg" not in benchmark.images.names
    check(benchmark, pictures, labels)
    assert any("8 places hold 7 different images" in n for n in benchmark.notes)


def test_oddities_of_published_files_are_noted(tmp_path):
    pictures, labels = bin_pictures(4, SMALL)
    pictures[6:] = pictures[1::-1]  # again, but as not mated
    pictures[5] = pictures[4]
    notes = " ".join(
        read_benchmark(write(tmp_path / "a.bin", (pictures, labels))).notes
    )
    assert "1 comparison of an image with the same image" in notes
    assert "1 pair of images listed both as mated and as non-mated" in notes


def test_counts_are_compared_with_the_published(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.bytes(8) for _ in range(12_000)]
    path = write(tmp_path / "agedb_30.bin", (pictures, [True, False] * 3000))
    assert read_benchmark(path).notes[1] == (
        "6,000 comparisons, 3,000 of them mated, as published"
    )
    path = write(tmp_path / "cfp_fp.bin", (pictures, [True, False] * 3000))
    assert "cfp_fp is published with 7,000 and 3,500" in read_benchmark(path).notes[1]


def test_content_decides_the_digest(tmp_path):
    pictures, labels = bin_pictures(4, SMALL)
    one = read_benchmark(write(tmp_path / "a.bin", (pictures, labels))).images
    same = read_benchmark(write(tmp_path / "b.bin", (pictures, labels), 3)).images
    pictures[0] = pictures[0][:-1] + b"!"
    other = read_benchmark(write(tmp_path / "a.bin", (pictures, labels))).images
    assert one.names == other.names
    assert one.names_sha256 == same.names_sha256 != other.names_sha256


class Command:
    """What a malicious pickle holds: it would run a command when loaded."""

    def __reduce__(self):
        return os.system, ("touch /tmp/prefiqs-was-here",)


class Call:
    """Calls a function when it is unpickled the usual way."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            ([b"x"], [True], Command()),
            r"asks for '\w+\.system'\); a benchmark holds images",
        ),
        (Call(eval, "1"), r"asks for '(__builtin__|builtins)\.eval'"),
        (([b"a", b"b"], {"a": True}), "does not end with labels"),
        (([b"a", b"b"], [1.0]), "label 0 is no truth value"),
        (Call(bytearray, 10**12), r"asks for '(__builtin__|builtins)\.bytearray'"),
        (np.dtype(object), "something else"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_anything_else_is_refused_by_its_name(tmp_path, content, reason, protocol):
    with pytest.raises(InputError, match=reason) as excinfo:
        read_benchmark(write(tmp_path / "a.bin", content, protocol))
    assert len(str(excinfo.value).splitlines()) == 1


@pytest.mark.parametrize(
    "bomb",
    [
        # A place in memory beyond all bounds; a claimed length; deep nests.
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        b"\x80\x02" + b"(" * 50_000 + b"t" * 50_000 + b".",
        # An array whose data are said to be a number: bytes(n) would make n of them.
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R(K\x01)cnumpy\ndtype\nX\x02"
        b"\0\0\0u1\x85R\x89\x8a\x05\0\0\0\0\x40tb.",
        b"\x80\x02c_codecs\nencode\n](]]e\x86R.",
    ],
)
def test_bombs_are_refused(tmp_path, bomb):
    message = refusal(tmp_path / "a.bin", bomb)
    assert "a.bin" in message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no complete pickle"),
        (b"\xff\xd8\xff\xe0 a JPEG file", "is no complete pickle"),
        (b"version https://git-lfs", "is no complete pickle"),
        (([b"a", b"b"],), "is a pickle of something else"),
        ((b"ab", [True]), "does not begin with a list of images"),
        (([b"a", "b"], [True]), "image 1 is no bytes"),
        (([b"a", b"b"], b"1"), "does not end with labels"),
        (([b"a", b"b"], [2]), "label 0 is no truth value"),
        (([b"a", b"b"], [None]), "label 0 is no truth value"),
        (([b"a", b"b", b"c"], [True]), "has 3 images and 1 label"),
        (([b"a", b"b"], [True]), "none of them is non-mated"),
        (([], []), "lists no comparisons"),
    ],
)
def test_what_is_no_bin(tmp_path, content, reason):
    assert reason in refusal(tmp_path / "a.bin", content)


def test_truncated_anywhere(tmp_path):
    data = python2_pickle(*bin_pictures(2, SMALL))
    for end in range(0, len(data), 97):
        assert "is no complete pickle" in refusal(tmp_path / "a.bin", data[:end])


def test_a_flipped_byte_is_no_crash(tmp_path):
    data = python2_pickle([b"aa", b"bb", b"cc", b"dd"], [True, False])
    rng = np.random.default_rng(0)
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] = rng.integers(256)
        path = write(tmp_path / "a.bin", bytes(changed))
        with contextlib.suppress(InputError):
            read_benchmark(path)


def test_too_many_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(unpickle, "MAX_STEPS", 10)
    assert "more than 10 steps" in refusal(tmp_path / "a.bin", bin_pictures(4, SMALL))
    monkeypatch.setattr(packed, "MAX_BYTES", 10)
    assert "more than this needs" in refusal(tmp_path / "a.bin", bin_pictures(4, SMALL))


def test_a_text_that_is_encoded_many_times_counts_as_often(tmp_path, monkeypatch):
    monkeypatch.setattr(unpickle, "MAX_STEPS", 1000)
    start = b"\x80\x02]X\x00\x00\x01\x00" + b"a" * 2**16 + b"q\x00a("
    encode = b"c_codecs\nencode\nh\x00X\x06\0\0\0latin1\x86R"
    end = b"e](\x88e\x86."
    for count, said in ((2, "image 0 is no bytes"), (8, "more than 1,000 steps")):
        assert said in refusal(tmp_path / "a.bin", start + encode * count + end)


def test_images_beside_a_bin_are_refused(tmp_path):
    path = write(tmp_path / "a.bin", bin_pictures(4, SMALL))
    with pytest.raises(InputError, match="leave --images out"):
        read_benchmark(path, images=tmp_path)
    assert read_benchmark(tmp_path).kind == "bin"
