"""Images in any form go wherever a folder of images goes."""

import io

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import (
    BadImage,
    as_folder,
    decode,
    load_batches,
    read_folder,
    take_inventory,
)

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (4, 8, 8, 3), np.uint8)


@pytest.fixture
def faces(tmp_path):
    """Write two people with two images each."""
    for index, pixels in enumerate(PIXELS):
        path = tmp_path / "faces" / f"person{index // 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "faces"


def pixels_of(folder):
    batches = load_batches(folder, height=8, width=8, batch_size=3)
    return np.concatenate([batch.pixels for batch in batches])


def test_every_form_has_the_same_pixels(faces):
    listed = sorted(faces.rglob("*.png"))
    images = [Image.open(path) for path in listed]
    forms = (
        faces,
        str(faces),
        read_folder(faces),
        listed,
        [str(path) for path in listed],
        PIXELS,
        list(PIXELS),
        images,
        dict(zip("abcd", PIXELS, strict=True)),
    )
    for form in forms:
        np.testing.assert_array_equal(pixels_of(as_folder(form)), PIXELS)


def test_names_and_people(faces):
    whole = as_folder(faces)
    assert whole == read_folder(faces)
    listed = sorted(faces.rglob("*.png"), reverse=True)
    some = as_folder(listed[:3])
    assert some.root == faces
    assert some.names == ("person1/3.png", "person1/2.png", "person0/1.png")
    assert some.identities == ("person1", "person1", "person0")
    assert some.identity_source == "folders"
    assert not some.is_whole
    one = as_folder(listed[0])
    assert (one.root, one.names) == (faces / "person1", ("3.png",))
    assert one.identities == (None,)
    assert as_folder(listed, 0).identities == (None,) * 4
    arrays = as_folder(np.zeros((11, 8, 8, 3), np.uint8))
    assert arrays.names[:2] == ("00", "01")
    assert arrays.names[-1] == "10"
    assert as_folder(PIXELS[0]).names == ("0",)
    assert as_folder(Image.fromarray(PIXELS[0])).names == ("0",)
    assert as_folder({"ann": PIXELS[0]}).names == ("ann",)


def test_files_have_the_people_of_the_table_beside_them(faces):
    table = "file,identity\nperson0/0.png,Ann\nperson1/2.png,Bob\nperson1/3.png,Bob\n"
    (faces / "images.csv").write_text(table)
    found = as_folder([faces / "person0/0.png", faces / "person1/2.png"])
    assert found.identities == ("Ann", "Bob")
    assert found.lines == (
        f"{faces}: 2 images of 2 people (identities from images.csv)",
    )
    alone = as_folder([faces / "person0/0.png", faces / "person0/1.png"])
    assert alone.identities == (None, None)  # the table lies in another folder
    assert as_folder(str(faces / "*/*.png")).identities == ("Ann", None, "Bob", "Bob")
    ignored = as_folder(str(faces / "*/*.png"), 1)
    assert ignored.identities == ("person0", "person0", "person1", "person1")


def test_files_are_told_by_their_content(faces):
    listed = sorted(faces.rglob("*.png"))
    before = take_inventory(as_folder(listed)).sha256
    assert take_inventory(as_folder(listed)).sha256 == before
    Image.fromarray(PIXELS[::-1][0]).save(listed[0])
    assert take_inventory(as_folder(listed)).sha256 != before


def test_pixels_are_told_by_their_digest():
    one, same = as_folder(PIXELS), as_folder(PIXELS.copy())
    assert one.names_sha256 == same.names_sha256
    other = PIXELS.copy()
    other[3, 0, 0, 0] ^= 1
    assert as_folder(other).names_sha256 != one.names_sha256
    assert as_folder(PIXELS[::-1]).names_sha256 != one.names_sha256
    reshaped = PIXELS.reshape(4, 4, 16, 3)
    assert as_folder(reshaped).names_sha256 != one.names_sha256
    renamed = as_folder(dict(zip("abcd", PIXELS, strict=True)))
    assert renamed.names_sha256 != one.names_sha256


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "LA", "CMYK", "1", "I;16"])
def test_a_pil_image_is_decoded_as_its_file(tmp_path, mode):
    base = Image.fromarray(PIXELS[0])
    if mode == "I;16":
        samples = (PIXELS[0, ..., 0].astype(np.uint16) << 8) + 77
        image = Image.fromarray(samples)
    else:
        image = base.convert("L").convert("LA") if mode == "LA" else base.convert(mode)
    assert image.mode == mode
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    wanted = decode(path)
    with Image.open(path) as opened:
        for given in (image, opened):
            folder = as_folder(given)
            found = folder.store.load(folder.root, "0", None)
            np.testing.assert_array_equal(found.pixels, wanted.pixels)
            assert set(found.conversions) == set(wanted.conversions)
    assert image.mode == mode


def test_exif_orientation(tmp_path):
    image = Image.fromarray(RNG.integers(0, 256, (4, 6, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as opened:
        found = as_folder(opened)
    decoded = found.store.load(found.root, "0", None)
    np.testing.assert_array_equal(decoded.pixels, decode(tmp_path / "a.png").pixels)
    assert decoded.pixels.shape == (6, 4, 3)


def test_the_size_that_a_network_needs():
    folder = as_folder({"small": PIXELS[0]})
    with pytest.raises(
        BadImage, match=r"small is 8×8 pixels, but the network needs 9×8"
    ):
        list(load_batches(folder, height=8, width=9, batch_size=2))
    wide = np.zeros((112, 112, 3), np.uint8)
    (batch,) = load_batches(as_folder(wide), height=112, width=96, batch_size=1)
    assert batch.pixels.shape == (1, 112, 96, 3)
    assert batch.conversions == {"cut to the 96 wide template": ("0",)}


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ([], "there is no image; give at least one"),
        ({}, "there is no image; give at least one"),
        (np.zeros((0, 8, 8, 3), np.uint8), "there is no image"),
        (PIXELS / 255, r"image 0 is float64 of shape \(8, 8, 3\); give uint8 RGB"),
        (PIXELS[..., 0], r"image 0 is uint8 of shape \(8, 8\)|image 0 is uint8 of sh"),
        (PIXELS[0, 0], r"image 0 is uint8 of shape \(8, 3\)"),
        (["gone.png"], r"there is no image gone\.png"),
        (["pairs.txt"], r"pairs\.txt is no image by its name; known extensions"),
        ([PIXELS[0], "a.png"], "images are files and pixels, mixed"),
        ({"a\nb": PIXELS[0]}, "control characters"),
        ({3: PIXELS[0]}, "3 is no name of an image"),
        ("gone", "there is no folder gone"),
        ([3], r"image 0 is int64 of shape \(\)"),
    ],
)
def test_what_is_no_image(images, told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told) as caught:
        as_folder(images)
    assert "\n" not in str(caught.value)


def test_a_file_given_twice(faces):
    path = faces / "person0" / "0.png"
    with pytest.raises(InputError, match=r"0\.png is given twice"):
        as_folder([path, faces / "person1" / ".." / "person0" / "0.png"])


def test_a_damaged_pil_image(faces):
    data = (faces / "person0" / "0.png").read_bytes()[:80]
    with (
        Image.open(io.BytesIO(data)) as opened,
        pytest.raises(BadImage, match="damaged"),
    ):
        as_folder(opened)
