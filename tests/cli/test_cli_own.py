"""Networks, scores and changes of the user's own, as they are typed."""

import numpy as np
import pandas as pd
import pytest
from cli.own_network import MODEL, write_faces, write_network
from PIL import Image

import prefiqs_jax
from prefiqs_jax import results
from prefiqs_jax.cli import main

SCORES = """
import numpy as np

def wanda(name, weights, context):
    return abs(weights) * context.input_norms[name]

def fails(name, weights):
    return weights + np.zeros(3)

def shapeless(name, weights):
    return np.ones(7)

def rule(params, sparsity):
    raise LookupError("no rule")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Go to a folder with faces of two people, a network and scores."""
    names = [f"p{index // 3}/{index}.png" for index in range(6)]
    write_faces(tmp_path / "faces", names, seed=1)
    write_network(tmp_path)
    (tmp_path / "my_masks.py").write_text(SCORES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep(*more, out="run", images="faces", sparsities="0.3,0.5"):
    given = ["--backbone", "my_model.py:build", "--images", images, "--out", out]
    if "--delta" not in more:
        given += ["--sparsities", sparsities]
    return main(["sweep", *given, "--quiet", *more])


def one_line(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    assert "Traceback" not in line
    return line


def test_a_network_of_ones_own(place, capsys):
    assert sweep() == 0
    rows = results.read("run")
    assert len(rows) == 12
    assert set(rows["backbone"]) == {"mine"}
    before = (place / "run" / "rows" / "part-000000.parquet").stat().st_mtime_ns
    assert sweep() == 0  # goes on, and has nothing to do
    assert (place / "run" / "rows" / "part-000000.parquet").stat().st_mtime_ns == before
    capsys.readouterr()
    for text in (MODEL.replace("1.0", "2.0"), MODEL + "\n# a comment\n"):
        (place / "my_model.py").write_text(text)
        assert sweep() == 2
        assert "was made with other weights: weights_sha256" in one_line(capsys)
    (place / "my_model.py").write_text(MODEL)
    assert sweep() == 0
    weights = results.read_manifest("run")["weights"]
    assert (weights["file"], weights["format"]) == ("my_model.py", "function")
    frame = prefiqs_jax.sweep_arrays(
        prefiqs_jax.load_backbone("my_model.py:build"),
        np.stack(
            [np.asarray(Image.open(place / "faces" / n)) for n in rows["image"][::2]]
        ),
        "global/magnitude",
        [0.3, 0.5],
    )
    for column in ("first_order", "drift"):
        np.testing.assert_allclose(rows[column], frame[column], atol=1e-6)


def test_its_weights(place, capsys):
    rng = np.random.default_rng(5)
    arrays = {
        "one": rng.standard_normal((192, 16)),
        "two": rng.standard_normal((16, 4)),
    }
    np.savez("w.npz", one=np.float32(arrays["one"]), two=np.float32(arrays["two"]))
    assert sweep("--weights", "w.npz") == 0
    assert sweep("--weights", "w.npz", "--pixels", "BGR,0,255") == 2
    assert "was made with pixels" in one_line(capsys)
    assert sweep() == 2
    assert "other weights" in one_line(capsys)
    assert sweep("--weights", "none.npz") == 2
    assert "none.npz does not exist" in one_line(capsys)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_comparison_of_masks(place):
    words = ["--backbone", "my_model.py:build", "--images", "faces", "--quiet"]
    masks = ["--masks", "global/magnitude,output/wanda", "--sparsities", "0.3,0.5"]
    assert main(["compare-masks", *words, *masks, "--out", "both"]) == 0
    rows = results.read("both")
    assert sweep("--mask", "output/wanda", out="wanda") == 0
    mine = rows.loc[rows["mask"] == "output/wanda"].reset_index(drop=True)
    np.testing.assert_allclose(mine["drift"], results.read("wanda")["drift"], atol=1e-6)
    assert "mine" in (place / "both/comparison/comparison.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["score", "check", "edc"])
def test_the_other_commands(place, capsys, command):
    words = {
        "score": ["--images", "faces", "--out", "s.csv", "--mask", "output/wanda"],
        "check": ["--images", "faces"],
        "edc": ["--benchmark", "faces", "--out", "edc", "--fmr", "0.1",
                "--methods", "prefiqs,norm", "--sparsities", "0.4",
                "--replicates", "0", "--mask", "output/wanda"],
    }[command]  # fmt: skip
    status = main([command, "--backbone", "my_model.py:build", *words, "--quiet"])
    told = capsys.readouterr()
    assert status in ((0, 1) if command == "check" else (0,)), told.err
    if command == "score":
        table = pd.read_csv("s.csv")
        found = prefiqs_jax.sweep_arrays(
            prefiqs_jax.load_backbone("my_model.py:build"),
            np.stack([np.asarray(Image.open(f"faces/{n}")) for n in table["image"]]),
            "output/wanda",
            [0.4],
        )
        np.testing.assert_allclose(table["quality"], found["quality"], atol=1e-6)
    elif command == "edc":
        settings = results.read_manifest("edc/measured/faces/mine")["settings"]
        assert settings["calibration"]["images"] == 6
        assert settings["calibration"]["source"] == "the scored images"
    else:
        assert "mine" in told.out or "RGB" in told.out


def test_conversion_says_that_it_does_not(place, capsys):
    words = [
        "convert",
        "my_model.py",
        "out.safetensors",
        "--backbone",
        "my_model.py:build",
    ]
    assert main(words) == 2
    assert "my_model.py" in one_line(capsys)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("import jax.numpy", "import jax.nonsense"), "line 2: ModuleNotFoundError"),
        (("rng.standard_normal(shape)", "rng.nothing(shape)"), "line 16: AttributeErr"),
        (('params["two"]', 'params["three"]'), "mine: the function cannot be traced"),
        (("(8, 8, 3)", "(8, 9, 3)"), "mine: the function cannot be traced for images"),
        (
            ("return prefiqs_jax.from_function", "return"),
            "returned a tuple; return a Ba",
        ),
        (
            ("def build(", "def built("),
            "has no function build; it has: apply_fn, built",
        ),
        (("images.reshape(len(images), -1)", "check(images)"), "line 9: NameError: "),
    ],
)
def test_a_network_that_fails(place, capsys, edit, told):
    (place / "my_model.py").write_text(MODEL.replace(*edit))
    assert sweep() == 2
    line = one_line(capsys)
    assert told in line
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (
            "erk/my_masks.py:fails",
            "mask file my_masks.py, line 8: ValueError: operands",
        ),
        ("erk/my_masks.py:shapeless", "one/kernel: scores of shape (7,) do not broadc"),
        ("my_masks.py:rule", "mask file my_masks.py, line 14: LookupError: no rule"),
        ("erk/my_masks.py:none", "has no function none; it has: wanda, fails, shapele"),
    ],
)
@pytest.mark.parametrize("command", ["sweep", "score"])
def test_a_mask_that_fails(place, capsys, command, mask, told):
    if command == "sweep":
        assert sweep("--mask", mask) == 2
    else:
        words = ["--backbone", "my_model.py:build", "--images", "faces"]
        assert main(["score", *words, "--out", "s.csv", "--mask", mask, "--quiet"]) == 2
    assert told in one_line(capsys)
    assert not (place / "run").exists()
    assert not (place / "s.csv").exists()


def test_calibration(place, capsys):
    """A score with data, on the swept images or on others; the run knows which."""
    mask = ["--mask", "output/my_masks.py:wanda"]
    assert sweep(*mask) == 0
    assert sweep(*mask) == 0
    settings = results.read_manifest("run")["settings"]
    assert settings["calibration"]["source"] == "the swept images"
    assert settings["calibration"]["images"] == 6
    named = ["--mask", "output/wanda"]
    assert sweep(*named, out="named") == 0
    for column in ("first_order", "drift"):
        own, theirs = results.read("run")[column], results.read("named")[column]
        np.testing.assert_array_equal(own, theirs)
    capsys.readouterr()
    given = ["--calibration", "faces/p0"]
    assert sweep(*mask, *given) == 2
    assert "was made with other calibration images: calibration {" in one_line(capsys)
    assert sweep(*mask, *given, out="other") == 0
    settings = results.read_manifest("other")["settings"]
    assert settings["calibration"]["source"] == "given"
    assert settings["calibration"]["images"] == 3
    assert sweep(*mask, "--calibration", "faces/p0/0.png", out="one") == 0
    assert results.read_manifest("one")["settings"]["calibration"]["images"] == 1
    capsys.readouterr()
    (place / "small").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save("small/a.png")
    assert sweep(*mask, "--calibration", "small", out="no") == 2
    assert "a.png is 4×4 pixels, but mine needs 8×8" in one_line(capsys)
    assert sweep(*mask, "--calibration", "gone", out="no") == 2
    assert "there is no folder gone" in one_line(capsys)


def test_an_earlier_checkpoint(place, capsys):
    assert sweep("--mask", "global/movement") == 2
    assert "--earlier on the command line" in one_line(capsys)
    own = prefiqs_jax.load_backbone("my_model.py:build").params
    for name, factor in (("before.npz", -1), ("other.npz", 0.5)):
        np.savez(name, **{n: factor * held["kernel"] for n, held in own.items()})
    mask = ["--mask", "global/movement", "--earlier"]
    assert sweep(*mask, "before.npz") == 0
    assert sweep("--mask", "global/magnitude", out="magnitude") == 0
    for column in ("first_order", "drift"):  # w (w + w) orders as |w| does
        pair = (results.read(run)[column] for run in ("run", "magnitude"))
        one, other = pair
        np.testing.assert_allclose(one, other, atol=1e-7)
    capsys.readouterr()
    assert sweep(*mask, "other.npz") == 2
    assert "another earlier checkpoint: earlier_sha256" in one_line(capsys)
    np.savez(
        "small.npz", one=np.ones((192, 3), np.float32), two=np.ones((3, 4), np.float32)
    )
    assert sweep(*mask, "small.npz", out="no") == 2
    assert "the earlier checkpoint has no one/kernel of shape (192, 16)" in one_line(
        capsys
    )


def test_one_image_file(place):
    """Beside which the run may lie: no folder is listed."""
    Image.open("faces/p0/0.png").save("alone.png")
    assert sweep(images="alone.png") == 0
    rows = results.read("run")
    assert set(rows["image"]) == {"alone.png"}
    assert sweep(out="whole") == 0
    whole = results.read("whole")
    whole = whole.loc[whole["image"] == "p0/0.png"]
    np.testing.assert_allclose(rows["drift"], whole["drift"], atol=1e-6)
    words = ["--backbone", "my_model.py:build", "--images", "alone.png", "--quiet"]
    assert main(["score", *words, "--out", "s.csv", "--sparsity", "0.3"]) == 0
    np.testing.assert_allclose(
        pd.read_csv("s.csv")["quality"], rows["quality"][:1], atol=1e-6
    )


def test_a_delta_of_a_checkpoint(place, capsys):
    """Weights that were fine-tuned elsewhere: the change is the whole difference."""
    own = prefiqs_jax.load_backbone("my_model.py:build").params
    tuned = {n: 1.01 * held["kernel"] for n, held in own.items()}
    np.savez("tuned.npz", **tuned)
    assert sweep("--delta", "tuned.npz") == 0
    rows = results.read("run")
    assert set(rows["mask"]) == {"tuned"}
    assert set(rows["sparsity"]) == {0.0}
    # Both layers times 1.01 scale the raw embedding: its direction stays.
    assert rows["drift"].to_numpy().max() < 1e-5
    assert sweep("--delta", "int4", out="int4") == 0
    assert results.read("int4")["drift"].to_numpy().min() > 1e-3
    capsys.readouterr()
    assert sweep("--delta", "int3", out="int4") == 2
    assert "was made with mask int4, not int3" in one_line(capsys)
    for option, value in (("--mask", "erk/magnitude"), ("--earlier", "tuned.npz")):
        assert sweep("--delta", "int4", option, value, out="no") == 2
        assert f"so {option} has no meaning" in one_line(capsys)
    for source, told in (
        ("int1", "1 bits: give from 2 to 16"),
        ("gone.npz", "gone.npz does not exist"),
        ("my_masks.py", "my_model.py, line "),
    ):
        assert sweep("--delta", source, out="no") == 2
        assert told in one_line(capsys)
