"""Check calls at run time: types by beartype, shapes by jaxtyping."""

import typing
from collections.abc import Callable, Mapping
from typing import Any

import jaxtyping
import pandas as pd
import pyarrow as pa
from beartype import BeartypeConf, beartype
from numpy.typing import ArrayLike

ROOMS = ("trees", "sensitivity", "masks", "images", "benchmarks", "inputcheck")
ROOMS += ("plots", "report", "demo", "cli", "statistics", "fiqa")
ROOMS += ("results", "scorefiles", "evaluation", "weights", "execution")
ROOMS += ("quality", "sweep", "comparison", "user_code", "plugins", "outputs")
ROOMS += ("files", "unpickle", "terminal")
# Of backbones not what networks are made of: a run tells them apart by their functions,
# and a checked one is another in every process.
ROOMS += tuple(
    f"backbones.{module}"
    for module in (
        *("zoo", "load", "identity", "changes", "architecture", "reading", "stated"),
        *("verified", "families", "places"),
    )
)
CHECKED = [f"prefiqs_jax.{room}" for room in ROOMS]
"""Where a test gives a bad type on purpose, the annotation says that it is accepted."""

# The package imports these for annotations only.
_NAMES = {"pd": pd, "pa": pa}


# NumPy's protocol of nested sequences lets no tuple pass at run time.
_LOOSE = (ArrayLike, ArrayLike | None, Mapping[str, ArrayLike])

# An int stands for a float, as PEP 484 has it.
_CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check calls of a function, unless an annotation names what it cannot resolve.

    Functions within functions are left alone: they are defined anew at every call, and
    making their checks took longer than many tests.
    """
    if "<locals>" in function.__qualname__:
        return function
    try:
        hints = typing.get_type_hints(function, localns=_NAMES, include_extras=True)
    except NameError:  # imported for type checkers only, from a package above
        return function
    hints = {name: _loose(hint) for name, hint in hints.items()}
    function.__annotations__ = hints
    return _CHECK(function)


def _loose(hint: Any) -> Any:
    """Leave to the package what it answers itself: another word than those it knows."""
    if hint in _LOOSE:
        return Any
    if typing.get_origin(hint) is typing.Literal:
        return typing.Union[*{type(word) for word in typing.get_args(hint)}]
    return hint


def install() -> None:
    """Check them from now on; before any of the package is imported.

    Not with jaxtyping's own switch, the environment variable JAXTYPING_DISABLE=1: a
    third of the time of many tests goes into the checks.
    """
    if not jaxtyping.config.jaxtyping_disable:
        jaxtyping.install_import_hook(CHECKED, "typechecked.check")
