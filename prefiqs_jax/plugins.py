"""What installed packages add, by their entry points: networks, qualities, mask scores.

A package declares, in its ``pyproject.toml``, for example::

    [project.entry-points."prefiqs_jax.qualities"]
    sharpness = "my_package:METHOD"

Nothing of it is imported before it is asked for by its name.
"""

from collections.abc import Container
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from prefiqs_jax.errors import InputError

Record = TypeVar("Record")


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
