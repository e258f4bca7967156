import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.mapping import Entry, MappingError, convert
from prefiqs_jax.weights.wording import naming, one_line, parsing, shown


def test_the_file_is_named_and_the_error_stays_itself():
    said = r"^net\.pth: 1 tensor missing"
    with pytest.raises(MappingError, match=said) as caught, naming("net.pth"):
        convert({}, {"fc.bias": Entry("fc/bias", (2,))})
    assert caught.value.missing == ["fc.bias"]


def test_a_parsers_error_becomes_one_line():
    said = r"damaged .*\(KeyError: 'absent'\); get the file again"
    with pytest.raises(InputError, match=said), parsing():
        {}["absent"]
    error = InputError("as it was")
    with pytest.raises(InputError, match=r"^as it was$"), parsing():
        raise error
    assert one_line(ValueError("first\nsecond")) == "ValueError: first"
    assert one_line(EOFError()) == "EOFError"


def test_names_from_a_file_are_short_and_printable():
    assert shown("conv1.weight") == "conv1.weight"
    assert shown("").isprintable()
    assert shown("\x1b[31mred\n").isprintable()
    assert len(shown("x" * 1000)) == 80
