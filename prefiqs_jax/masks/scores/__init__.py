"""Scores: one idea a file. Each file's ``ENTRY`` is found here; none needs a line.

An installed package offers one by an entry point of the group ``prefiqs_jax.masks``.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from prefiqs_jax.errors import check_choice
from prefiqs_jax.masks.scores.entry import ScoreEntry
from prefiqs_jax.plugins import load_plugin, plugin_names

PLUGINS = "prefiqs_jax.masks"


def _built_in() -> dict[str, ScoreEntry]:
    modules = [
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    ]
    entries = [
        entry
        for module in modules
        for entry in (*getattr(module, "ENTRIES", ()), getattr(module, "ENTRY", None))
        if entry is not None
    ]
    return {entry.name: entry for entry in entries}


SCORES: Mapping[str, ScoreEntry] = _built_in()
"""Every built-in score by its name."""


def score_names() -> list[str]:
    """List the names of all scores, those of installed packages included."""
    return [*SCORES, *plugin_names(PLUGINS, SCORES)]


def find_score(name: str) -> ScoreEntry:
    """Find a score by its name; InputError, with the nearest, if there is none."""
    if name in SCORES:
        return SCORES[name]
    check_choice("score", name, score_names())
    return load_plugin(PLUGINS, name, ScoreEntry)


__all__ = ["SCORES", "ScoreEntry", "find_score", "score_names"]
