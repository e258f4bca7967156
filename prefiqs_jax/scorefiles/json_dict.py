"""A JSON object of scores by path."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.weights.wording import shown

KIND = "a JSON object of scores by path"


def read_json(path: Path) -> Scores:
    """Read ``{"PATH": SCORE, …}``.

    Parameters
    ----------
    path
        UTF-8 text.

    Returns
    -------
    Scores
        A path that comes twice has two rows.

    Raises
    ------
    InputError
        If it is no JSON, no object, or has something else than numbers in it.
    """
    try:
        # Pairs in place of a dict: of a path that comes twice, both scores are seen.
        # Whole numbers as floats: Python's own have no limit.
        pairs = json.loads(
            path.read_text("utf-8-sig"), object_pairs_hook=_pairs, parse_int=float
        )
    except json.JSONDecodeError as error:
        message = f"line {error.lineno} is no valid JSON ({error.msg}); write it again"
        raise InputError(message) from error
    except RecursionError as error:
        message = 'lists within lists; write one JSON object {"PATH": SCORE, …}'
        raise InputError(message) from error
    if not _is_object(pairs):
        message = 'its JSON is no object; write {"PATH": SCORE, …}'
        raise InputError(message)
    for name, value in pairs:
        if not isinstance(value, float):
            # An object is a list of pairs here, see above.
            nested = value and _is_object(value)
            text = "an object" if nested else json.dumps(value, ensure_ascii=False)
            message = (
                f"the score of {shown(name)} is {shown(text)}, no number; write one "
                'JSON object {"PATH": SCORE, …}'
            )
            raise InputError(message)
    return Scores(
        source=path,
        kind=KIND,
        method=None,
        names=tuple(name for name, _ in pairs),
        values=np.array([value for _, value in pairs], np.float64),
        direction=None,
        column=None,
        columns=(),
    )


def _pairs(pairs: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return pairs


def _is_object(pairs: Any) -> bool:
    # An array of JSON is a list as well, but not of tuples.
    return isinstance(pairs, list) and all(isinstance(pair, tuple) for pair in pairs)
