"""Which preprocessings are compared."""

import pytest

from prefiqs_jax.backbones.preprocessing import Preprocessing
from prefiqs_jax.inputcheck.alternatives import alternatives, scaling


@pytest.mark.parametrize(
    "stored",
    [
        Preprocessing(),
        Preprocessing(std=128.0),
        Preprocessing(channels="BGR", mean=0.0, std=255.0),
        Preprocessing(mean=0.0, std=1.0, height=112, width=96),
    ],
)
def test_each_once_and_the_stored_first(stored):
    found = alternatives(stored, grey=False)
    assert found[0] == stored
    assert len(found) == len(set(found)) == 6
    scales = {scaling(each).replace("128", "127.5") for each in found}
    assert scales == {"(x - 127.5) / 127.5", "x / 255", "x"}
    assert {(each.height, each.width) for each in found} == {
        (stored.height, stored.width)
    }
    assert {each.channels for each in found} == {"RGB", "BGR"}


def test_grey_pictures_keep_the_order():
    found = alternatives(Preprocessing(channels="BGR"), grey=True)
    assert [each.channels for each in found] == ["BGR"] * 3


def test_another_scaling_is_compared_with_all():
    found = alternatives(Preprocessing(mean=114.0, std=57.0), grey=False)
    assert len(found) == 8
    assert scaling(found[0]) == "(x - 114) / 57"
