"""The quality methods that there are."""

from collections.abc import Mapping, Sequence

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.execution.precision import PRECISIONS, Precision
from prefiqs_jax.plugins import load_plugin, plugin_names
from prefiqs_jax.quality import expected_drift, faceqan, grafiqs, random, serfiq, shared
from prefiqs_jax.quality.method import Method

# A new one is one word here.
METHODS: Mapping[str, Method] = {
    method.name: method
    for module in (shared, expected_drift, grafiqs, serfiq, faceqan, random)
    for method in module.METHODS
}
"""Every built-in method by its name, in the order of ``prefiqs edc --help``."""

PLUGINS = "prefiqs_jax.qualities"
"""Entry points under which installed packages offer a :class:`Method`."""


def method_names() -> list[str]:
    """List the names of all methods, those of installed packages included."""
    return [*METHODS, *plugin_names(PLUGINS, METHODS)]


def find_method(name: str) -> Method:
    """Find a method by its name; InputError, with the nearest, if there is none."""
    if name in METHODS:
        return METHODS[name]
    check_choice("method", name, method_names())
    return load_plugin(PLUGINS, name, Method)


def check_methods(names: Sequence[str]) -> None:
    """Raise InputError unless every name is that of a method, and there only once."""
    known = method_names()
    for name in names:
        check_choice("method", name, known)
    if not names:
        message = f"no method is given; choose from {', '.join(known)}"
        raise InputError(message)
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        message = f"method {twice[0]} is given twice; name it once"
        raise InputError(message)


def check_fit(backbone: Backbone, methods: Sequence[str], precision: Precision) -> None:
    """Raise InputError if the network lacks what a method needs."""
    check_choice("precision", precision, PRECISIONS)
    for name in methods:
        find_method(name).check(backbone, precision)
