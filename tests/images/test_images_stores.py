"""What is behind a folder's names: every store keeps what the loader relies on."""

import dataclasses
import io
import pickle

import numpy as np
import pytest
from PIL import Image

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import BadImage, ImageFolder, load_batches, read_folder
from prefiqs_jax.images.opening import NeededSize
from prefiqs_jax.images.stores import FILES, Degraded, Landmarked, Packed, Recipe

SIZE = 112
NEEDED = NeededSize(SIZE, SIZE, "net")
POINTS = np.array(
    [[38.0, 52], [74, 52], [56, 72], [42, 92], [71, 92]]
)  # near enough the ArcFace template


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def files(tmp_path):
    for number in range(3):
        Image.fromarray(picture(number)).save(tmp_path / f"{number}.png")
    return read_folder(tmp_path)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(params=["files", "packed", "landmarked", "degraded", "both"])
def folder(files, request):
    """Give a folder of each store, and of one store in another."""
    if request.param in ("landmarked", "both"):
        pytest.importorskip("cv2")
    row = {name: 0 for name in files.names}
    landmarked = Landmarked(POINTS[None], row)
    recipe = {"1.png": Recipe("0.png", "darkness", 0.5, 1)}
    store = {
        "files": FILES,
        "packed": Packed({n: png(picture(k)) for k, n in enumerate(files.names)}),
        "landmarked": landmarked,
        "degraded": Degraded(recipe),
        "both": Degraded(recipe, landmarked),
    }[request.param]
    return dataclasses.replace(files, store=store)


def test_loading_gives_the_same_in_every_way(folder):
    """One by one, in batches, in one thread or several."""
    alone = [folder.store.load(folder.root, n, NEEDED).pixels for n in folder.names]
    for workers in (1, 3):
        loaded = load_batches(
            folder, height=SIZE, width=SIZE, batch_size=2, workers=workers
        )
        together = np.concatenate([batch.pixels for batch in loaded])
        np.testing.assert_array_equal(together, alone)
    assert np.asarray(alone).dtype == np.uint8


def test_the_size_is_checked_before_and_while_loading(folder):
    wide = NeededSize(SIZE, 2 * SIZE, "wide_net")
    for ask in (folder.store.check, folder.store.load):
        ask(folder.root, "1.png", NEEDED)
        ask(folder.root, "1.png", None)
        with pytest.raises(
            BadImage, match="112×112 pixels, but wide_net needs 224×112"
        ):
            ask(folder.root, "1.png", wide)


def test_a_narrow_network_gets_the_middle(folder):
    narrow = NeededSize(SIZE, 96, "narrow_net")
    whole = folder.store.load(folder.root, "1.png", NEEDED)
    cut = folder.store.load(folder.root, "1.png", narrow)
    np.testing.assert_array_equal(cut.pixels, whole.pixels[:, 8:-8])
    assert cut.conversions == ("cut to the 96 wide template",)


def test_unknown_names_are_one_line(folder):
    for ask in (folder.store.check, folder.store.load):
        with pytest.raises(BadImage) as excinfo:
            ask(folder.root, "absent.png", NEEDED)
        assert str(excinfo.value).startswith("absent.png ")
        assert len(str(excinfo.value).splitlines()) == 1


def test_stores_travel_between_processes(folder):
    again = pickle.loads(pickle.dumps(folder))
    assert again.names_sha256 == folder.names_sha256
    pixels = again.store.load(again.root, "2.png", NEEDED).pixels
    expected = folder.store.load(folder.root, "2.png", NEEDED).pixels
    np.testing.assert_array_equal(pixels, expected)


def test_every_store_has_a_digest_of_its_own(files):
    packed = {n: png(picture(0)) for n in files.names}
    other = {**packed, "2.png": png(picture(9))}
    row = {name: 0 for name in files.names}
    recipe = {"1.png": Recipe("0.png", "darkness", 0.5, 1)}
    stores = [
        FILES,
        Packed(packed),
        Packed(other),
        Landmarked(POINTS[None], row),
        Landmarked(POINTS[None] + 1, row),
        Landmarked(POINTS[None], row, Packed(packed)),
        Degraded(recipe),
        Degraded({"1.png": recipe["1.png"]._replace(seed=2)}),
        Degraded(recipe, Packed(packed)),
    ]
    digests = {dataclasses.replace(files, store=s).names_sha256 for s in stores}
    assert len(digests) == len(stores)
    assert (
        files.names_sha256
        == ImageFolder(files.root, files.names, (None,) * 3, None, ()).names_sha256
    )


def test_points_are_checked(files):
    store = Landmarked(np.full((1, 5, 2), np.nan), {"0.png": 0})
    with pytest.raises(BadImage, match=r"0\.png has landmarks that are not finite"):
        store.check(files.root, "0.png", None)
    with pytest.raises(BadImage, match=r"1\.png has no landmarks"):
        store.load(files.root, "1.png", None)


def test_empty_bytes(files):
    store = Packed({"0.png": b""})
    with pytest.raises(BadImage, match=r"0\.png is empty"):
        store.check(files.root, "0.png", None)


def test_take_chooses_pictures_in_an_order(files):
    some = files.take([2, 0])
    assert some.names == ("2.png", "0.png")
    assert some.root == files.root
    assert some.store is files.store
    loaded = next(load_batches(some, height=SIZE, width=SIZE, batch_size=2))
    np.testing.assert_array_equal(loaded.pixels, [picture(2), picture(0)])


def test_a_bad_picture_is_an_input_error(files):
    folder = dataclasses.replace(files, store=Packed({}))
    with pytest.raises(InputError, match=r"0\.png is not in "):
        next(load_batches(folder, height=SIZE, width=SIZE, batch_size=2))
