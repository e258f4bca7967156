"""A JSON object of scores by path."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.weights.wording import shown

KIND = "a JSON object of scores by path"
_CURE = 'write one JSON object {"PATH": SCORE, …}'


class _Object(list[tuple[str, Any]]):
    """Pairs in place of a dict: of a path that comes twice, both scores are seen."""


def read_json(path: Path) -> Scores:
    """Read ``{"PATH": SCORE, …}`` in UTF-8; a path that comes twice has two rows.

    Raises InputError if it is no JSON, no object, or has something else than numbers in
    it.
    """
    text = path.read_text("utf-8-sig")
    try:
        # Whole numbers as floats: Python's own have no limit.
        pairs = json.loads(text, object_pairs_hook=_Object, parse_int=float)
    except json.JSONDecodeError as error:
        message = f"line {error.lineno} is no valid JSON ({error.msg}); write it again"
        raise InputError(message) from error
    except RecursionError as error:
        message = f"lists within lists; {_CURE}"
        raise InputError(message) from error
    if not isinstance(pairs, _Object):
        message = f"its JSON is no object; {_CURE}"
        raise InputError(message)
    for name, value in pairs:
        if not isinstance(value, float):
            nested = isinstance(value, _Object)
            what = "an object" if nested else json.dumps(value, ensure_ascii=False)
            message = f"the score of {shown(name)} is {shown(what)}, no number; {_CURE}"
            raise InputError(message)
    names = tuple(name for name, _ in pairs)
    return Scores(path, KIND, names, np.array([value for _, value in pairs], float))
