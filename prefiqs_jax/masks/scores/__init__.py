"""Scores: one idea a file. Each file's ``ENTRY`` is found here; none needs a line.

An installed package offers one by an entry point of the group ``prefiqs_jax.masks``.
"""

from collections.abc import Mapping

from prefiqs_jax.errors import check_choice
from prefiqs_jax.masks.scores.entry import ScoreEntry
from prefiqs_jax.plugins import held_by_files, load_plugin, plugin_names

PLUGINS = "prefiqs_jax.masks"


_FOUND = [
    *held_by_files(__name__, "ENTRY"),
    *(entry for several in held_by_files(__name__, "ENTRIES") for entry in several),
]
SCORES: Mapping[str, ScoreEntry] = {entry.name: entry for entry in _FOUND}
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
