"""What is found where it lies: in files of a folder here, or in installed packages.

An installed package adds networks, qualities and mask scores by entry points. It
declares, in its ``pyproject.toml``, for example::

    [project.entry-points."prefiqs_jax.qualities"]
    sharpness = "my_package:METHOD"

Nothing of it is imported before it is asked for by its name.
"""

import importlib
import pkgutil
from collections.abc import Container
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from prefiqs_jax.errors import InputError

Record = TypeVar("Record")


def held_by_files(package: str, name: str) -> list[Any]:
    """List what the modules of a package hold under a name, those that have it.

    In the order of the modules' names. A new file needs no line elsewhere.

    Examples
    --------
    >>> found = held_by_files("prefiqs_jax.masks.scores", "ENTRY")
    >>> {"magnitude", "random"} <= {entry.name for entry in found}
    True
    """
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    modules = [importlib.import_module(f"{package}.{module.name}") for module in found]
    return [getattr(module, name) for module in modules if hasattr(module, name)]


def plugin_names(group: str, taken: Container[str] = ()) -> list[str]:
    """List the names of a group of entry points, but those that are taken."""
    return sorted(name for name in _found(group) if name not in taken)


def load_plugin(group: str, name: str, kind: type[Record]) -> Record:
    """Import what an installed package offers under one of the :func:`plugin_names`.

    InputError that names package and entry point if it cannot be imported, or is not of
    the kind that the group, such as ``"prefiqs_jax.qualities"``, needs.
    """
    entry = _found(group)[name]
    told = f"{name} of {entry.dist.name if entry.dist else 'an installed package'}"
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        message = f"{told} ({entry.value}) cannot be imported: {error}"
        raise InputError(message) from error
    if not isinstance(found, kind):
        message = (
            f"{told} ({entry.value}) is a {type(found).__name__}; the entry point must "
            f"be a {kind.__name__}"
        )
        raise InputError(message)
    return found


def _found(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}
