"""Pickled dicts of scores by path, as FaceQAN, DifFIQA and eDifFIQA write them."""

import math
from pathlib import Path

import numpy as np

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles.pickle_machine import PROTOCOLS, run_pickle
from prefiqs_jax.scorefiles.pickle_numbers import CURE, OneNumber, Pairs
from prefiqs_jax.scorefiles.scores import Scores
from prefiqs_jax.weights.wording import shown

KIND = "a pickled dict of scores by path"
MOST_BYTES = 2**28
"""Two million scores with long paths."""


def is_pickle(start: bytes) -> bool:
    """Return whether a file that starts so is a pickle, of whatever protocol.

    Examples
    --------
    >>> import pickle
    >>> is_pickle(pickle.dumps({}, 2)), is_pickle(b"a.png 0.5")
    (True, False)
    """
    # Protocols 0 and 1 have no mark of their own; dicts start like this in them.
    return start[:1] == b"\x80" or start[:3] in (b"(dp", b"(lp", b"}q\x00")


def read_pickle(path: Path) -> Scores:
    """Read a pickled dict of numbers by path, without running anything in it.

    Parameters
    ----------
    path
        A pickle of protocol 2 to 5, of Python 2 or 3. Keys are text or bytes in UTF-8;
        values are Python's numbers, or NumPy's, also in arrays of one number.

    Returns
    -------
    Scores
        A path that comes twice has two rows.

    Raises
    ------
    InputError
        If there is anything else in it, it is damaged, or longer than ``MOST_BYTES``.

    Notes
    -----
    A pickle is a program, and Python's own loader runs what it calls. Here, only the
    instructions are followed with which such dicts are written; see
    :mod:`prefiqs_jax.scorefiles.pickle_machine`.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        message = f"has {size / 1e9:.1f} GB, more than scores need; {CURE}"
        raise InputError(message)
    content = path.read_bytes()
    if content[:1] != b"\x80":
        message = "is a pickle of protocol 0 or 1; save it again with protocol 2 or up"
        raise InputError(message)
    if content[1:2] not in PROTOCOLS:
        message = "is no pickle of protocol 2 to 5; save it again with one of them"
        raise InputError(message)
    pairs = run_pickle(content)
    if not isinstance(pairs, Pairs):
        message = f"holds a pickle, but not of a dict; {CURE}"
        raise InputError(message)
    names = [_name(key) for key, _ in pairs]
    values = [
        _number(name, value) for name, (_, value) in zip(names, pairs, strict=True)
    ]
    return Scores(
        source=path,
        kind=KIND,
        method=None,
        names=tuple(names),
        values=np.array(values, np.float64),
        direction=None,
        column=None,
        columns=(),
    )


def _name(key: object) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, bytes):
        try:
            return key.decode()
        except UnicodeDecodeError:
            pass
    # Not the key itself: a tuple of a few bytes may take years to print.
    message = f"a key is no path but of the type {type(key).__name__}; {CURE}"
    raise InputError(message)


def _number(name: str, value: object) -> float:
    if isinstance(value, OneNumber):
        value = value.number
    # Of bool, which Python counts among the integers, no quality is made.
    if type(value) is float:
        return value
    if type(value) is int:
        # Longer ones than a float can hold are no scores, but must not stop us here.
        return float(value) if value.bit_length() < 1024 else math.inf
    # Of what is no plain value, only the type: see _name.
    plain = value is None or type(value) in (bool, str)
    what = shown(value) if plain else f"of the type {type(value).__name__}"
    message = f"the score of {shown(name)} is {what}, no number; {CURE}"
    raise InputError(message)
