"""Pickled dicts of scores by path, as FaceQAN, DifFIQA and eDifFIQA write them."""

import math
from pathlib import Path

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.unpickle import Array, Pairs, read_pickle
from prefiqs_jax.weights.wording import shown

KIND = "a pickled dict of scores by path"
CURE = "save a dict {path: float(score)}"
MOST_BYTES = 2**28
"""Two million scores with long paths."""


def is_pickle(start: bytes) -> bool:
    """Return whether a file that starts so is a pickle, of whatever protocol.

    >>> import pickle
    >>> is_pickle(pickle.dumps({}, 2)), is_pickle(b"a.png 0.5")
    (True, False)
    """
    # Protocols 0 and 1 have no mark of their own; dicts start like this in them.
    return start[:1] == b"\x80" or start[:3] in (b"(dp", b"(lp", b"}q\x00")


def read_pickled_scores(path: Path) -> Scores:
    """Read a pickled dict of numbers by path, without running anything in it.

    It may be of Python 2 or 3. Keys are text or bytes in UTF-8; values are Python's
    numbers, or NumPy's, also in arrays of one number. A path that comes twice has two
    rows. Raises InputError if there is anything else in it, it is damaged, or longer
    than ``MOST_BYTES``.
    """
    cure = f"where you trust it, load it yourself and {CURE}"
    found = read_pickle(path, MOST_BYTES, cure)
    if not isinstance(found, Pairs):
        message = f"holds a pickle, but not of a dict; {CURE}"
        raise InputError(message)
    names = [_name(key) for key, _ in found.items]
    values = [_number(_name(key), value) for key, value in found.items]
    return Scores(path, KIND, tuple(names), np.array(values, np.float64))


def _name(key: object) -> str:
    if isinstance(key, str):
        return key
    # No path is longer, and a pickle may name one text many times.
    if isinstance(key, bytes) and len(key) < 2**12:
        try:
            return key.decode()
        except UnicodeDecodeError:
            pass
    # Not the key itself: a tuple of a few bytes may take years to print.
    message = f"a key is no path but of the type {type(key).__name__}; {CURE}"
    raise InputError(message)


def _number(name: str, value: object) -> float:
    if isinstance(value, Array):
        if value.values.size != 1:
            message = f"holds an array of several numbers, or of none; {CURE}"
            raise InputError(message)
        value = value.values.item()
    if isinstance(value, float):
        return value
    # Of bool, which Python counts among the integers, no quality is made.
    if isinstance(value, int) and not isinstance(value, bool):
        # Longer ones than a float can hold are no scores, but must not stop us here.
        return float(value) if value.bit_length() < 1024 else math.inf
    # Of what is no plain value, only the type: see _name.
    plain = value is None or isinstance(value, bool | str)
    what = shown(value) if plain else f"of the type {type(value).__name__}"
    message = f"the score of {shown(name)} is {what}, no number; {CURE}"
    raise InputError(message)
