"""Wrong channels and scalings are found, right ones are not blamed."""

import dataclasses

import jax
import numpy as np
import pytest

from prefiqs_jax.backbones.load import load_backbone
from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import encode_png, read_folder
from prefiqs_jax.images.synthetic import faces
from prefiqs_jax.inputcheck import compare_preprocessing, table, verdict

SFACE = "weights/face_recognition_sface_2021dec_int8bq.onnx"
PEOPLE, EACH = 12, 3


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """Write synthetic faces, a folder per person."""
    root = tmp_path_factory.mktemp("synthetic")
    people = jax.random.split(jax.random.key(1), PEOPLE)
    captures = jax.random.split(jax.random.key(2), PEOPLE * EACH)
    pixels = np.asarray(faces(people[np.arange(PEOPLE).repeat(EACH)], captures))
    for index, picture in enumerate(pixels):
        (root / f"p{index // EACH}").mkdir(exist_ok=True)
        (root / f"p{index // EACH}" / f"{index}.png").write_bytes(encode_png(picture))
    return root


@pytest.fixture(scope="module")
def demo():
    return load_backbone("demo")


@pytest.fixture(scope="module")
def sface(shared):
    return load_backbone("sface", shared(SFACE))


def changed(backbone, **fields):
    preprocessing = dataclasses.replace(backbone.preprocessing, **fields)
    return dataclasses.replace(backbone, preprocessing=preprocessing)


def anonymous(folder):
    return dataclasses.replace(
        folder, identities=(None,) * len(folder.names), identity_source=None
    )


@pytest.mark.slow
def test_demo_fits(demo, synthetic):
    found = compare_preprocessing(demo, read_folder(synthetic))
    assert found.evidence == "identities"
    assert (found.images, found.people) == (PEOPLE * EACH, PEOPLE)
    assert found.fits
    assert found.stored is found.rows[0]
    assert found.stored.preprocessing == demo.preprocessing
    assert found.best.preprocessing.channels == "RGB"
    lines = table(found)
    assert len(lines) == 7
    assert lines[1].startswith("stored")
    again = compare_preprocessing(demo, read_folder(synthetic), batch_size=7)
    for one, other in zip(found.rows, again.rows, strict=True):
        np.testing.assert_allclose(one.norm, other.norm, rtol=1e-5)
        assert one.separation == pytest.approx(other.separation, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{"channels": "BGR"}, {"mean": 0.0, "std": 1.0}])
def test_a_wrong_input_is_caught(demo, synthetic, fields):
    wrong = changed(demo, **fields)
    found = compare_preprocessing(wrong, read_folder(synthetic))
    assert not found.fits
    assert found.best.preprocessing.channels == "RGB"
    assert found.best.preprocessing.std != 1
    assert verdict(found)[0].startswith("another preprocessing fits better")


@pytest.mark.slow
def test_one_person_and_one_picture(demo, synthetic, tmp_path):
    folder = read_folder(synthetic)
    one = [name for name in folder.names if name.startswith("p0/")]
    some = dataclasses.replace(folder, names=(*one,), identities=("p0",) * len(one))
    found = compare_preprocessing(demo, some)
    assert found.evidence is None
    assert found.fits
    assert found.best is found.stored
    assert found.stored.norm > 0
    assert "cannot be told apart on 3 images" in verdict(found)[0]
    some = dataclasses.replace(folder, names=(one[0],), identities=(None,))
    found = compare_preprocessing(demo, some)
    assert "on 1 image:" in verdict(found)[0]
    assert len(table(found)) == 7


@pytest.mark.slow
def test_unknown_people_show_gross_errors_only(demo, synthetic):
    folder = anonymous(read_folder(synthetic))
    found = compare_preprocessing(demo, folder)
    assert found.evidence == "mirrors"
    assert found.fits
    assert found.rows[0].eer is None
    assert any("swapped channels do not" in line for line in verdict(found))


def test_grey_faces_leave_the_channels_open(demo, synthetic, tmp_path):
    for path in sorted(synthetic.glob("*/*.png")):
        folder = tmp_path / path.parent.name
        folder.mkdir(exist_ok=True)
        picture = np.random.default_rng(len(path.name)).integers(0, 256, (112, 112, 1))
        (folder / path.name).write_bytes(
            encode_png(np.repeat(picture, 3, axis=2).astype(np.uint8))
        )
    found = compare_preprocessing(demo, read_folder(tmp_path))
    assert found.grey == found.images
    assert len(found.rows) == 3
    assert "all images are grey: they cannot tell RGB from BGR" in verdict(found)
    assert "grey" in table(found)[1]


@pytest.mark.parametrize(
    "settings", [{"max_images": 0}, {"max_images": 5000}, {"batch_size": 0}]
)
def test_numbers_out_of_range(demo, synthetic, settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        compare_preprocessing(demo, read_folder(synthetic), **settings)


@pytest.mark.slow
def test_embeddings_that_are_all_zero(demo, synthetic):
    dead = dataclasses.replace(
        demo, apply_fn=lambda params, images: demo.apply_fn(params, images) * 0.0
    )
    with pytest.raises(InputError, match="zero or not finite"):
        compare_preprocessing(dead, read_folder(synthetic))


@pytest.mark.slow
def test_command(synthetic, capsys):
    words = ["check", "--backbone", "demo", "--images", str(synthetic), "--quiet"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out.count("RGB") >= 3
    assert out.count("BGR") >= 3
    assert main([*words, "--pixels", "BGR,127.5,127.5"]) == 1
    assert "fits clearly better" in capsys.readouterr().out


def test_command_refuses_a_folder_that_is_not_there(tmp_path, capsys):
    missing = tmp_path / "missing"
    assert main(["check", "--backbone", "demo", "--images", str(missing)]) == 2
    assert str(missing) in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.weights
def test_sface(sface, shared):
    folder = read_folder(shared("faces/lfw100"))
    found = compare_preprocessing(sface, folder)
    assert found.best is found.stored
    assert verdict(found)[0].startswith("stored preprocessing fits best")
    # Measured by a script of its own, straight from the definitions.
    expected = [6.98, 6.62, 0.56, 6.15, 5.42, 0.28]
    separations = [row.separation for row in found.rows]
    assert separations == pytest.approx(expected, abs=0.02)
    assert found.stored.eer == 0
    for fields in ({"channels": "BGR"}, {"mean": 0.0, "std": 255.0}):
        found = compare_preprocessing(changed(sface, **fields), folder)
        assert not found.fits, fields
        assert found.best.preprocessing.channels == "RGB"
        assert found.best.preprocessing.mean == 127.5


@pytest.mark.slow
@pytest.mark.weights
def test_sface_without_identities(sface, shared):
    folder = anonymous(read_folder(shared("faces/lfw100")))
    found = compare_preprocessing(sface, folder, max_images=40)
    assert found.fits
    # It cannot see the order of the channels, and must not say that it can.
    assert len(found.alike) == 3
    wrong = changed(sface, mean=0.0, std=1.0)
    assert not compare_preprocessing(wrong, folder, max_images=40).fits


@pytest.mark.slow
@pytest.mark.weights
def test_sface_on_grey_faces(sface, shared):
    found = compare_preprocessing(
        sface, read_folder(shared("faces/att")), max_images=90
    )
    assert found.fits
    assert found.grey == found.images
    assert {row.preprocessing.channels for row in found.rows} == {"RGB"}
