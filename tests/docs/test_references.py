"""What docstrings refer to is there, whether or not the site has a page of it."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "prefiqs_jax").rglob("*.py"))
REFERENCE = re.compile(
    r":(?:func|class|mod|data|meth|attr|exc):`(?:[^`<]*<)?~?([\w.]+)>?`"
)


def places(module):
    """Give where a name may be: the classes of the module, it, and all above it."""
    here = importlib.import_module(module)
    yield from (value for value in vars(here).values() if isinstance(value, type))
    while module:
        yield importlib.import_module(module)
        module = module.rpartition(".")[0]


def has(value, parts):
    """Tell whether attributes, or fields that only have a type, are there."""
    for part in parts:
        fields = getattr(value, "__annotations__", {})
        if part not in fields and not hasattr(value, part):
            return False
        value = getattr(value, part, None)
    return True


def found(name, module):
    """Look a dotted name up from a module, or from the top."""
    parts = name.split(".")
    if any(has(place, parts) for place in places(module)):
        return True
    for count in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        return has(value, parts[count:])
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_references_lead_somewhere(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    names = REFERENCE.findall(path.read_text("utf-8"))
    module = module.removesuffix(".__init__")
    assert [name for name in names if not found(name, module)] == []


def test_a_dead_reference_is_seen():
    assert found("sensitivity.taylor", "prefiqs_jax")
    assert found("CONTROLS", "prefiqs_jax.sensitivity.controls")
    assert found("push", "prefiqs_jax.sensitivity.linearise")
    assert not found("pull", "prefiqs_jax.sensitivity.linearise")
    assert not found("prefiqs_jax.sensitivity.tailor", "prefiqs_jax")
