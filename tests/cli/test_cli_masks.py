"""``prefiqs masks``: what a reader finds there, at a hundred columns."""

import pytest

from prefiqs_jax.cli import main
from prefiqs_jax.masks import ALLOCATIONS, SCORES, mask_names

SCORE = '''
def mine(name, weights, context):
    """Score by the input norms alone.

    Not shown."""
    return context.input_norms[name]

def rule(params, sparsity):
    return params

broken = 3
'''


def told(capsys, *words):
    assert main(["masks", *words]) == 0
    return capsys.readouterr().out


def test_the_list_fits_a_hundred_columns(capsys):
    text = told(capsys)
    assert max(map(len, text.splitlines())) <= 100
    first = {line.split()[0] for line in text.splitlines() if line.startswith("  ")}
    assert {*ALLOCATIONS, *SCORES, "N:M,", "FILE.py:MASK"} <= first
    assert "[" not in text
    for entry in SCORES.values():
        words = entry.description.split()
        assert words[0] in text
        assert words[-1] in text


@pytest.mark.parametrize("name", [*ALLOCATIONS, *SCORES, *mask_names()])
def test_every_name_has_its_account(capsys, name):
    text = told(capsys, name)
    before, _, after = name.partition("/")
    assert max(map(len, text.splitlines())) <= 100
    if before in ALLOCATIONS:
        assert f"allocation  {before}: {ALLOCATIONS[before].description[:30]}" in text
    if (after or before) in SCORES:
        entry = SCORES[after or before]
        assert f"score       {entry.name}: {entry.description[:30]}" in text
        assert f"  formula   {entry.formula[:30]}" in text
        assert f"  cost      {entry.cost}" in text
    assert text.count("source") <= 2


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("output/wanda", "needs       calibration images"),
        ("erk/synflow", "needs       calibration images"),
        ("2:4/magnitude", "needs       the network, to tell inputs from outputs"),
        ("3:8/magnitude", "allocation  3:8: 3 of every 8 inputs stay"),
    ],
)
def test_what_a_mask_needs(capsys, name, needs):
    assert needs in told(capsys, name)
    assert "needs" not in told(capsys, "global/magnitude")


def test_functions_of_a_file(tmp_path, capsys):
    file = tmp_path / "my.py"
    file.write_text(SCORE)
    text = told(capsys, f"erk/{file}:mine")
    assert f"{file}:mine: Score by the input norms alone." in " ".join(text.split())
    assert "Not shown" not in text
    assert "needs       calibration images" in text
    text = told(capsys, f"{file}:rule")
    assert f"{file}:rule: no docstring" in " ".join(text.split())
    assert text.startswith("mask ")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nonsense", "unknown mask 'nonsense'; known: the allocations global, "),
        ("magnitud", "did you mean magnitude? known"),
        ("global/wnda", "did you mean global/wanda? known"),
        ("golbal", "did you mean global? known"),
        ("lamp/grasp", "lamp/grasp makes no sense: lamp adds up squares"),
        ("2:4/l1", "2:4/l1 makes no sense"),
        ("4:2", "4:2"),
        ("erk/none.py:mine", "mask file none.py does not exist"),
    ],
)
def test_what_there_is_not(capsys, name, words):
    assert main(["masks", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
