"""Files that never end, are damaged or mean harm: one line, status 2, and no hang."""

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from cli.own_network import write_faces, write_network
from PIL import Image

from prefiqs_jax import results
from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.images.align.table import LANDMARK_COLUMNS


@pytest.fixture(autouse=True)
def bounded():
    """Fail a test that waits for ever, as for a pipe, in place of all the tests."""

    def give_up(*_):
        pytest.fail("it does not end")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def faces(tmp_path):
    folder = tmp_path / "faces"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        pixels = rng.integers(0, 255, (112, 112, 3), np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Give a folder with a network, faces and a run of them."""
    folder = tmp_path_factory.mktemp("run")
    write_faces(folder / "faces", ["a.png", "b.png", "c.png"])
    words = f"sweep --backbone {write_network(folder)} --images {folder}/faces"
    words += f" --sparsities 0.3 --quiet --out {folder}/run"
    assert main(words.split()) == 0
    return folder


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "made")
    return tmp_path / "made" / "run"


@pytest.fixture
def refused(capsys):
    """Give the line with which a command refuses its input."""

    def run(words):
        capsys.readouterr()
        assert main(words.split()) == 2
        captured = capsys.readouterr()
        (line,) = captured.err.splitlines()
        assert line.startswith("prefiqs: ")
        assert line.isprintable()
        return line

    return run


def fifo(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


PLACES = {
    "image": ("c.png", "score --backbone demo --images {faces} --out {out} --quiet"),
    "image of a sweep": (
        "c.png",
        "sweep --backbone demo --images {faces} --out {out} --quiet",
    ),
    "images.csv": ("images.csv", "check --backbone demo --images {faces} --quiet"),
    "weights": ("w.pth", "convert {file} {out}.safetensors --backbone sface"),
    "weights.onnx": ("w.onnx", "convert {file} {out}.safetensors --backbone sface"),
    "a graph": (
        "w.onnx",
        "score --backbone onnx --weights {file} --images {faces} --out {out} --quiet",
    ),
    "scores": (
        "s.csv",
        "edc --backbone demo --benchmark {faces} --scores {file} --out {out} --quiet",
    ),
    "pairs": ("pairs.csv", "edc --backbone demo --benchmark {file} --out {out}"),
    "pairs.txt": ("pairs.txt", "edc --backbone demo --benchmark {file} --out {out}"),
    "a list": (
        "pair_list.txt",
        "edc --backbone demo --benchmark {file} --kind crfiqa --out {out}",
    ),
    "packed": ("lfw.bin", "edc --backbone demo --benchmark {file} --out {out}"),
    "landmarks": ("l.csv", "align {faces} {out} --landmarks {file} --quiet"),
    "detector": ("d.onnx", "align {faces} {out} --detector {file} --quiet"),
    "mask": (
        "m.py",
        "score --backbone demo --mask {file}:f --images {faces} --out {out} --quiet",
    ),
    "earlier": (
        "w.pth",
        "score --backbone demo --mask global/movement --earlier {file} "
        "--images {faces} --out {out} --quiet",
    ),
    "delta": (
        "w.pth",
        "sweep --backbone demo --delta {file} --images {faces} --out {out} --quiet",
    ),
}


@pytest.mark.parametrize("make", [fifo, endless])
@pytest.mark.parametrize("place", PLACES)
def test_what_never_ends(place, make, faces, tmp_path, refused):
    name, words = PLACES[place]
    file = faces / name
    make(file)
    line = refused(words.format(file=file, faces=faces, out=tmp_path / "out"))
    assert name in line
    if place != "image":
        assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("make", [fifo, endless])
@pytest.mark.parametrize(
    "name",
    ["run.json", "images.parquet", "rows/part-000000.parquet", "process-0001.json"],
)
@pytest.mark.parametrize("command", ["report {run} --quiet", "sweep {again}"])
def test_what_never_ends_in_a_run(name, make, command, run, refused):
    (run / name).unlink(missing_ok=True)
    make(run / name)
    again = f"--backbone {run.parent}/my_model.py:build --images {run.parent}/faces"
    again += f" --sparsities 0.3 --out {run} --quiet"
    assert name in refused(command.format(run=run, again=again))


def test_a_picture_beyond_measure(faces, tmp_path, refused):
    with open(faces / "c.png", "wb") as file:
        file.truncate(2**40)
    words = f"score --backbone demo --images {faces} --out {tmp_path}/out --quiet"
    assert "c.png has 1,024 GiB" in refused(words)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [DEEP, '{"a": ' + "9" * 5000 + "}", "[]", "null", '{"settings": []}', '{"a":'],
)
def test_a_manifest_that_is_none(text, run, refused):
    (run / "run.json").write_text(text)
    assert "run.json is damaged" in refused(f"report {run} --quiet")


def keys(value, path=()):
    """List the places of everything in a manifest."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield (*path, key)
        if isinstance(value[key], dict | list):
            yield from keys(value[key], (*path, key))


@pytest.mark.parametrize("odd", ["absent", None, [], {}, "x", -1, 0, 10**400, True])
def test_a_manifest_with_odd_values(odd, run):
    """Whatever stands where: a command ends well, or in one line."""
    whole = (run / "run.json").read_text()
    for path in keys(json.loads(whole)):
        changed = json.loads(whole)
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        if odd == "absent":
            del inner[path[-1]]
        else:
            inner[path[-1]] = odd
        (run / "run.json").write_text(json.dumps(changed))
        told = "fine"
        try:
            results.read(run)
        except InputError as error:
            told = str(error)
        assert len(told.splitlines()) == 1, path


def test_a_manifest_that_is_a_folder(run, refused):
    (run / "run.json").unlink()
    (run / "run.json").mkdir()
    assert "run.json cannot be read: Is a directory" in refused(f"report {run}")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_picture_damaged_after_the_sweep(run):
    (run.parent / "faces" / "a.png").write_bytes(b"no image")
    (run.parent / "faces" / "b.png").unlink()
    os.mkfifo(run.parent / "faces" / "b.png")
    words = f"report {run} --images {run.parent}/faces --quiet"
    assert main(words.split()) == 0
    assert "b.png" in (run / "report/report.html").read_text()


@pytest.mark.parametrize("name", [".", "/", "..", "a/..", "\x1b[2J"])
def test_landmarks_of_no_image(name, faces, tmp_path, refused):
    lines = [",".join(["file", *LANDMARK_COLUMNS])]
    lines += [f"{each}{',50' * 10}" for each in ("a.png", name)]
    (tmp_path / "l.csv").write_text("\n".join(lines))
    words = f"align {faces} {tmp_path}/out --landmarks {tmp_path}/l.csv --quiet"
    assert "l.csv" in refused(words)


@pytest.mark.parametrize("error", ["OSError(5, 'I/O')", "OSError()", "MemoryError()"])
def test_a_mask_file_that_raises(error, faces, tmp_path, refused):
    (tmp_path / "m.py").write_text(f"def f(params, sparsity):\n    raise {error}\n")
    words = f"score --backbone demo --mask {tmp_path}/m.py:f --images {faces} --quiet"
    assert "m.py, line 2" in refused(f"{words} --out {tmp_path}/out")


EMBEDDED = Path(__file__).parents[2] / "prefiqs_jax" / "assets" / "demo.safetensors"


def with_metadata(path, **stated):
    """Write the embedded network with other metadata."""
    raw = EMBEDDED.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header["__metadata__"] |= stated
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


PIXELS = '{"height": 112, "width": 112, "channels": "RGB", "mean": 0, "std": %s}'


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preprocessing", DEEP),
        ("preprocessing", "[]"),
        ("preprocessing", "null"),
        ("preprocessing", PIXELS % ("9" * 5000)),
        ("preprocessing", PIXELS % ("9" * 400)),
        ("preprocessing", PIXELS % "NaN"),
        ("ignored", DEEP),
        ("ignored", "[1]"),
        ("ignored", "7"),
        ("epsilons", "[" + DEEP),
        ("epsilons", '{"a": []}'),
        ("epsilons", '{"a": ' + "9" * 400 + "}"),
        ("format", "prefiqs-jax 99"),
        ("backbone", "\x1b[2J"),
    ],
)
def test_metadata_of_weights(key, value, tmp_path, refused):
    with_metadata(tmp_path / "w.safetensors", **{key: value})
    words = f"convert {tmp_path}/w.safetensors {tmp_path}/out.safetensors"
    assert "w.safetensors" in refused(words)
    assert not (tmp_path / "out.safetensors").exists()


def test_names_that_a_terminal_would_obey(tmp_path, capsys):
    evil = "\x1b]0;owned\x07\x1b[2J\r\nprefiqs: fine"
    ignored = json.dumps({evil: evil})
    path = tmp_path / "w.safetensors"
    with_metadata(path, source_file=evil, ignored=ignored)
    assert main(["convert", str(path), str(tmp_path / "out.safetensors")]) == 0
    captured = capsys.readouterr()
    for line in (*captured.out.splitlines(), *captured.err.splitlines()):
        assert line.isprintable()
    assert len(captured.out.splitlines()) == 1


def test_people_that_a_terminal_would_obey(faces, tmp_path, capsys):
    evil = "\x1b[2Jann"
    rows = ["file,identity", f"a.png,{evil}", f"a.png,{evil}2"]
    (faces / "images.csv").write_text("\n".join(rows))
    assert main(f"check --backbone demo --images {faces}".split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    rows = ["file,identity", f"a.png,{evil}", f"{evil}.png,nan"]
    (faces / "images.csv").write_text("\n".join(rows))
    main(f"check --backbone demo --images {faces}".split())
    captured = capsys.readouterr()
    lines = captured.err.splitlines() + captured.out.splitlines()
    assert any("\\x1b[2Jann.png" in line for line in lines)
    assert all(line.isprintable() for line in lines)


def test_a_graph_without_weights(faces, tmp_path, refused):
    onnx = pytest.importorskip("onnx")
    shape = onnx.TensorProto.FLOAT, ["N", 3, 112, 112]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Flatten", ["x"], ["y"])],
        "no weights",
        [onnx.helper.make_tensor_value_info("x", *shape)],
        [onnx.helper.make_tensor_value_info("y", shape[0], ["N", 3 * 112 * 112])],
    )
    onnx.save(onnx.helper.make_model(graph), tmp_path / "w.onnx")
    words = "score --quiet --backbone onnx --weights"
    words += f" {tmp_path}/w.onnx --images {faces}"
    assert "w.onnx: holds no weights" in refused(f"{words} --out {tmp_path}/out")


def test_types_of_four_bits(tmp_path, refused):
    torch = pytest.importorskip("torch")
    if not hasattr(torch, "float4_e2m1fn_x2"):
        pytest.skip("this torch has no float4")
    tensor = torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    torch.save({"fc.weight": tensor}, tmp_path / "w.pth")
    words = f"convert {tmp_path}/w.pth {tmp_path}/out.safetensors --backbone sface"
    assert "save fc.weight as float32" in refused(words)


@pytest.mark.parametrize(
    "text",
    [
        "9" * 5000,
        "10 " + "9" * 5000,
        "1 1\nann 1 " + "9" * 5000 + "\nann 1 bob 1",
        "1 1\nann 1 2\nann " + "9" * 5000 + " bob 1",
    ],
)
def test_numbers_of_many_digits(text, faces, tmp_path, refused):
    (faces / "pairs.txt").write_text(text)
    words = f"edc --backbone demo --benchmark {faces}/pairs.txt --out {tmp_path}/out"
    assert "pairs.txt, line" in refused(words)
