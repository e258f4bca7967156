"""What a user's file raises is told by its own line and message."""

import sys

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import mask_named
from prefiqs_jax.masks.allocation import context_use
from prefiqs_jax.user_code import load_function

PARAMS = {"fc": np.arange(12.0).reshape(3, 4)}


@pytest.fixture
def write(tmp_path):
    def write(text, name="mine.py"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_its_line_and_its_message(write):
    file = write("def score(name, weights):\n    x = 1\n    raise KeyError(name)\n")
    with pytest.raises(InputError) as caught:
        mask_named(f"erk/{file}:score")(PARAMS, 0.5)
    assert str(caught.value) == f"mask file {file}, line 3: KeyError: 'fc'"
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_innermost_line_of_the_file(write):
    """The library that it calls is not where the user looks."""
    file = write(
        "import numpy as np\n\n"
        "def inner(weights):\n    return np.concatenate([weights, weights[0]])\n\n"
        "def rule(params, sparsity):\n    return inner(params['fc'])\n"
    )
    with pytest.raises(InputError, match=r"mine\.py, line 4: ValueError: ") as caught:
        mask_named(f"{file}:rule")(PARAMS, 0.5)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "import nothing_of_this_name\n",
            "line 1: ModuleNotFoundError: No module named",
        ),
        ("x = 1\ny = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("x = 1\n\ndef f(:\n", "line 3: SyntaxError: "),
        ("def f():\n\tx = 1\n        y = 2\n", "line 3: TabError|line 3: Indentation"),
        ("def g(): pass\n_f = 3\n", "has no function f; it has: g"),
        ("f = 3\n", "has no function f; it has: none"),
    ],
)
def test_files_that_cannot_be_imported(write, text, told):
    file = write(text)
    with pytest.raises(InputError, match=told) as caught:
        load_function(f"{file}:f", "mask")
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_an_error_of_ours_stays_as_it_is(write):
    file = write(
        "from prefiqs_jax.errors import InputError\n\n"
        "def f():\n    raise InputError('give another')\n"
    )
    with pytest.raises(InputError, match=r"^give another$"):
        load_function(f"{file}:f", "mask")[0]()


def test_files_beside_it_and_dataclasses(write):
    """As ``python FILE`` has them; and annotations that are only texts."""
    write("FACTOR = 7\n", "beside_the_users_file.py")
    file = write(
        "from __future__ import annotations\nimport dataclasses\n"
        "from beside_the_users_file import FACTOR\n\n"
        "@dataclasses.dataclass\nclass Seven:\n    value: int = FACTOR\n\n"
        "def f():\n    return Seven().value\n"
    )
    before = list(sys.path)
    assert load_function(f"{file}:f", "mask")[0]() == 7
    assert sys.path == before
    sys.modules.pop("beside_the_users_file")


def test_the_content_that_was_digested_is_run(write, sha256):
    """A second version of the same size, written in the same second."""
    for value in ("1", "2"):
        file = write(f"def f():\n    return {value}\n")
        function, digest = load_function(f"{file}:f", "mask")
        assert (function(), digest) == (int(value), sha256(file))
    assert not list(file.parent.glob("__pycache__"))


def test_signature_and_name_stay(write):
    file = write(
        "def data(name, weights, context):\n    return weights\n\n"
        "class Callable:\n    def __call__(self, name, weights):\n"
        "        return weights\n"
        "thing = Callable()\n"
    )
    function, _ = load_function(f"{file}:data", "mask")
    assert context_use(function) == "needed"
    assert function.__name__ == "data"
    thing, _ = load_function(f"{file}:thing", "mask")
    assert thing.__name__ == "thing"
    assert thing("fc", 3) == 3
