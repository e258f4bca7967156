"""Pickles that are no dict of numbers: refused by name, and nothing of them run."""

import collections
import io
import os
import pickle
import pickletools
import random
import struct

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles import read_scores
from prefiqs_jax.scorefiles.pickled import MOST_BYTES, is_pickle, read_pickled_scores
from prefiqs_jax.unpickle import CALLS, Unpickler


class Runs:
    """Touches a file when Python's own loader meets it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def refusal(tmp_path):
    def refuse(content):
        path = tmp_path / "scores.pkl"
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_scores(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert len(message.splitlines()) == 1
        return message

    return refuse


def test_nothing_is_run(tmp_path, refusal):
    for protocol in (2, 3, 4, 5):
        content = pickle.dumps({"a.png": Runs(tmp_path / "ran")}, protocol)
        assert f"asks for '{os.mkdir.__module__}.mkdir'" in refusal(content)
    assert not (tmp_path / "ran").exists()
    pickle.loads(content)
    assert (tmp_path / "ran").exists()  # so that it would have


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({"a": [0.5]}, "the score of a is of the type list, no number"),
        ({"a": {"b": 0.5}}, "the score of a is of the type Pairs, no number"),
        ({"a": None}, "the score of a is None, no number"),
        ({"a": True}, "the score of a is True, no number"),
        ({"a": "87%"}, "the score of a is 87%, no number"),
        ({"a": np.array("x", object)}, "the score of a is x, no number"),
        ({"a": np.array([0.5, 0.7])}, "array of several numbers"),
        ({"a": np.array("x")}, "NumPy values of the type 'U1'"),
        ({"a": np.float64(1).astype(complex)}, "NumPy values of the type 'c16'"),
        ({1: 0.5}, "a key is no path but of the type int"),
        ({("a", 1): 0.5}, "a key is no path but of the type tuple"),
        ({b"\xff": 0.5}, "a key is no path but of the type bytes"),
        ({0.5}, "pickle step EMPTY_SET"),
        (["a", 0.5], "not of a dict"),
        (0.5, "not of a dict"),
        (np.float64(0.5), "not of a dict"),
        (collections.Counter(a=1), "asks for 'collections.Counter'"),
        ({"a": 10**400}, None),
    ],
    ids=repr,
)
def test_other_content(value, part, refusal, tmp_path):
    for protocol in (4, 5):
        content = pickle.dumps(value, protocol)
        if part is None:
            (tmp_path / "ok.pkl").write_bytes(content)
            assert read_pickled_scores(tmp_path / "ok.pkl").values.tolist() == [np.inf]
        else:
            assert part in refusal(content)


def test_ordered_dicts(tmp_path):
    path = tmp_path / "scores.pkl"
    path.write_bytes(pickle.dumps(collections.OrderedDict(b=1.5, a=2.5), 4))
    scores = read_pickled_scores(path)
    assert (scores.names, scores.values.tolist()) == (("b", "a"), [1.5, 2.5])


def test_protocols(tmp_path, refusal):
    path = tmp_path / "old.pkl"
    for protocol in (0, 1):
        content = pickle.dumps({"a": 0.5, "b": np.float32(0.25)}, protocol)
        assert is_pickle(content)
        path.write_bytes(content)
        assert read_pickled_scores(path).values.tolist() == [0.5, 0.25]
    assert "unsupported pickle protocol: 6" in refusal(b"\x80\x06}.")


def _hostile():
    text = b"\x8c\x01a\x94"
    huge = struct.pack("<Q", 2**62)
    yield "claims exabytes", b"\x80\x05}(\x8c\x01a\x96" + huge + b"u."
    yield "claims text", b"\x80\x05\x8d" + huge
    yield "negative length", b"\x80\x02T" + struct.pack("<i", -5) + b"abcde."
    yield "far memo", b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b"."
    # A tuple doubled sixty times: to hash or print it would take years.
    doubled = text + b"".join(b"h%c\x86\x94" % n for n in range(60))
    yield "doubled key", b"\x80\x04}" + doubled + b"K\x01s."
    yield "doubled name", b"\x80\x04" + doubled + b"h\x3c\x93."
    yield "doubled argument", b"\x80\x04cnumpy\ndtype\n" + doubled + b"R."
    yield "doubled state", b"\x80\x04}" + doubled + b"b."
    yield "deep", b"\x80\x04}(" + text + b"\x85" * 100_000 + b"K\x01u."
    yield "no stop", b"\x80\x04}(" + text + b"K\x01u"
    yield "empty stack", b"\x80\x04."
    yield "no mark", b"\x80\x04}K\x01u."
    yield "mark as a score", b"\x80\x04}(" + text + b"((s."
    yield (
        "changes a function",
        (b"\x80\x02cnumpy\ndtype\nq\x00}(X\x01\x00\x00\x00aK\x01ub."),
    )
    yield (
        "calls a type with a number",
        b"\x80\x02cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.",
    )
    yield "persistent", b"\x80\x02U\x01aQ."
    yield "extension", b"\x80\x02\x82\x01."
    yield "not a text", b"\x80\x02X\x02\x00\x00\x00\xff\xffK\x01."


@pytest.mark.parametrize("content", [pytest.param(c, id=n) for n, c in _hostile()])
def test_hostile(content, refusal):
    refusal(content)


_NAMED = [name.rpartition(".")[::2] for name in (*CALLS, "_codecs.encode")]
_BUILT = [f"c{module}\n{name}\n".encode() for module, name in _NAMED]
_PLAIN = [b"}", b"]", b")", b"K\x01", b"X\x01\0\0\0a", b"C\x01a", b"\x88"]
_ITEMS = b"}X\x01\0\0\0aK\x01s"
_STATES = [_ITEMS, b"N" + _ITEMS + b"\x86", _ITEMS * 2 + b"\x86", b"]K\x01a", b"K\x01"]


@pytest.mark.parametrize("state", _STATES)
@pytest.mark.parametrize("thing", _BUILT + _PLAIN)
def test_no_state_is_set(thing, state):
    before = [dict(getattr(each, "__dict__", {})) for each in CALLS.values()]
    content = b"\x80\x04" + thing + state + b"b."
    with pytest.raises((AttributeError, TypeError, ValueError)):
        Unpickler(io.BytesIO(content)).load()
    assert before == [dict(getattr(each, "__dict__", {})) for each in CALLS.values()]


def test_damaged_anywhere(tmp_path):
    """Flip and cut bytes: either numbers come out, or one line that says why not."""
    values = {"ann/1.png": 0.5, "bob/2.png": np.float32(0.25), "c": np.array([2.0])}
    rng = random.Random(0)
    path = tmp_path / "scores.pkl"
    refused = []
    for protocol in (2, 4, 5):
        whole = pickle.dumps(values, protocol)
        for _ in range(400):
            damaged = bytearray(whole)
            damaged[rng.randrange(2, len(damaged))] = rng.randrange(256)
            path.write_bytes(damaged[: rng.choice([len(whole), rng.randrange(2, 99)])])
            try:
                read_pickled_scores(path)
            except InputError as error:
                refused.append(str(error))
    assert len(refused) > 600
    assert all(len(message.splitlines()) == 1 for message in refused)


def test_all_instructions_of_picklers_are_known_or_named(refusal):
    for opcode in pickletools.opcodes:
        content = b"\x80\x04" + opcode.code.encode("latin1") + b"\x00" * 20 + b"."
        assert refusal(content)


def test_the_limit_of_size(tmp_path, monkeypatch):
    path = tmp_path / "scores.pkl"
    with open(path, "wb") as file:
        file.truncate(MOST_BYTES + 1)  # a hole: no disk, and it is not read
    with pytest.raises(InputError, match="more than this needs"):
        read_pickled_scores(path)
