"""The public API is what ``tests/public_api.txt`` lists: names and their parameters.

After a change that is meant: ``python tests/test_public_api.py``, and a line in
CHANGELOG.md; what is taken away or renamed keeps its old name for one release, see
CONTRIBUTING.md.
"""

import importlib
import inspect
import types
from pathlib import Path
from typing import get_origin

import prefiqs_jax

LISTED = Path(__file__).with_name("public_api.txt")
_PLAIN = (int, float, str, bool, type(None), tuple)


def listing():
    """List every name of every public package, with parameters, not annotations."""
    lines = []
    for name in sorted(prefiqs_jax.__all__):
        found = getattr(prefiqs_jax, name)
        if not isinstance(found, types.ModuleType):
            lines += described(f"prefiqs_jax.{name}", found)
            continue
        for inner in public_names(found):
            lines += described(f"{found.__name__}.{inner}", getattr(found, inner))
    errors = importlib.import_module("prefiqs_jax.errors")
    lines += described("prefiqs_jax.errors.InputError", errors.InputError)
    return lines


def public_names(module):
    """Give ``__all__``, or else the functions and classes defined there."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, value in vars(module).items()
        if name[0] != "_" and getattr(value, "__module__", None) == module.__name__
    )


def described(path, value):
    """Describe a function, a class with its public members, or any other object."""
    if inspect.isclass(value):
        parameters = "" if issubclass(value, Exception) else signature(value)
        yield f"class {path}{parameters}"
        for name, member in sorted(vars(value).items()):
            if name[0] == "_":
                continue
            if inspect.isfunction(member):
                yield f"  {path}.{name}{signature(member)}"
            elif isinstance(member, property) or hasattr(member, "attrname"):
                yield f"  {path}.{name}"
    elif inspect.isfunction(value):
        yield f"{path}{signature(value)}"
    elif callable(value) and get_origin(value) is None:
        yield f"{path}{signature(type(value).__call__, skip=1)}"
    else:
        yield path


def signature(function, skip=0):
    """Write names, kinds and plain defaults of parameters.

    Not annotations, nor other defaults: how those are written depends on versions.
    """
    words, kind = [], None
    for parameter in list(inspect.signature(function).parameters.values())[skip:]:
        if parameter.kind is parameter.KEYWORD_ONLY and kind not in (
            parameter.KEYWORD_ONLY,
            parameter.VAR_POSITIONAL,
        ):
            words.append("*")
        kind = parameter.kind
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        default = parameter.default
        text = ""
        if default is not parameter.empty:
            text = repr(default)
            is_plain = isinstance(default, _PLAIN) and "<" not in text
            text = f"={text}" if is_plain and len(text) < 40 else "=…"
        words.append(f"{star.get(kind, '')}{parameter.name}{text}")
    return f"({', '.join(words)})"


def test_the_public_api_is_as_listed():
    listed = LISTED.read_text(encoding="utf-8").splitlines()
    now = listing()
    lost, new = (sorted(set(a) - set(b)) for a, b in ((listed, now), (now, listed)))
    assert (lost, new) == ([], []), (
        "the public API has changed; if that is meant, run python "
        "tests/test_public_api.py and say so in CHANGELOG.md"
    )
    assert listed == now


def test_a_change_is_seen():
    def two(images, params=None):
        """Be called."""

    assert list(described("f", two)) == ["f(images, params=None)"]

    def other(images, *, params=3):
        """Be called otherwise."""

    assert list(described("f", other)) == ["f(images, *, params=3)"]


if __name__ == "__main__":
    LISTED.write_text("\n".join(listing()) + "\n", encoding="utf-8")
