import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.mapping import Entry, MappingError, convert, fit
from prefiqs_jax.weights.transforms import conv_kernel, linear_kernel

ENTRIES = {
    "conv.weight": Entry("conv/kernel", (4, 3, 2, 2), conv_kernel),
    "fc.weight": Entry("fc/kernel", (2, 5), linear_kernel),
    "fc.bias": Entry("fc/bias", (2,)),
}
TARGETS = {"conv/kernel": (2, 2, 3, 4), "fc/kernel": (5, 2), "fc/bias": (2,)}
COUNTERS = [(r".*\.num_batches_tracked", "counter of training steps")]


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=entry.shape).astype(np.float32)
        for name, entry in ENTRIES.items()
    }


def problems(*args, **kwargs) -> MappingError:
    with pytest.raises(MappingError) as caught:
        convert(*args, **kwargs)
    assert isinstance(caught.value, InputError)
    assert "\n" not in str(caught.value)
    return caught.value


def test_everything_fits(tensors):
    tensors["bn.num_batches_tracked"] = np.array(3)
    filled, ignored = convert(tensors, ENTRIES, COUNTERS, TARGETS)
    assert {name: array.shape for name, array in filled.items()} == TARGETS
    assert ignored == {"bn.num_batches_tracked": "counter of training steps"}
    np.testing.assert_array_equal(filled["fc/kernel"].T, tensors["fc.weight"])
    assert fit(tensors, ENTRIES, COUNTERS) == 0


def test_one_error_names_all_that_is_wrong(tensors):
    del tensors["conv.weight"]
    tensors["foo.bar"] = np.zeros(1)
    tensors["fc.weight"] = np.zeros((10, 5), np.float32)
    error = problems(tensors, ENTRIES)
    assert error.missing == ["conv.weight"]
    assert error.unexpected == ["foo.bar"]
    assert error.misshapen == ["fc.weight: (10, 5) instead of (2, 5)"]
    assert fit(tensors, ENTRIES) == 3
    assert str(error) == (
        "1 tensor missing (conv.weight), 1 unexpected (foo.bar), "
        "1 misshapen (fc.weight: (10, 5) instead of (2, 5))"
    )


def test_many_names_are_counted_instead_of_listed():
    error = problems({}, {f"layer{i}": Entry(f"{i}", (1,)) for i in range(900)})
    assert str(error).startswith("900 tensors missing (layer0, layer1, layer2 and 897")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(tensors, value):
    tensors["fc.weight"][1, 2] = value
    error = problems(tensors, ENTRIES)
    assert error.non_finite == ["fc.weight"]
    assert "1 tensor with NaN or infinite values (fc.weight)" in str(error)


def test_negative_variances_are_named():
    entries = {"bn.running_var": Entry("statistics/bn/var", (3,))}
    error = problems({"bn.running_var": np.array([1, 0, -1e-3])}, entries)
    assert error.negative == ["bn.running_var"]
    assert str(error) == (
        "1 tensor with negative variances (bn.running_var); get the file again, or "
        "take a checkpoint from before training broke"
    )
    convert({"bn.running_var": np.array([1, 0, 1e-3])}, entries)


def test_integers_in_place_of_weights_are_refused(tensors):
    tensors["fc.weight"] = np.zeros((2, 5), np.int8)
    error = problems(tensors, ENTRIES)
    assert error.misshapen == ["fc.weight: int8 (2, 5) instead of (2, 5)"]


def test_a_target_is_filled_once(tensors):
    entries = ENTRIES | {"again": Entry("fc/bias", (2,))}
    error = problems(tensors | {"again": tensors["fc.bias"]}, entries)
    assert error.duplicated == ["again to fc/bias"]


@pytest.mark.parametrize(
    "targets",
    [
        TARGETS | {"extra/bias": (1,)},
        {name: TARGETS[name] for name in ("conv/kernel", "fc/bias")},
        TARGETS | {"fc/kernel": (2, 5)},
    ],
)
def test_every_target_is_filled_in_its_shape(tensors, targets):
    error = problems(tensors, ENTRIES, targets=targets)
    assert len(error.unfilled) == 1


def test_an_entry_goes_before_what_may_be_ignored(tensors):
    filled, ignored = convert(tensors, ENTRIES, [(".*", "anything")])
    assert len(filled) == len(ENTRIES)
    assert not ignored


def test_hostile_names_stay_on_one_line(tensors):
    tensors["a\nb\x1b[31m" + "x" * 5000] = np.zeros(1)
    message = str(problems(tensors, ENTRIES))
    assert message.isprintable()
    assert len(message) < 400
