"""What the report says first: the finding, and what the precision has to do with it."""

import json

import numpy as np
import pandas as pd
import pytest

from prefiqs_jax.report import write_report
from prefiqs_jax.report.finding import finding
from prefiqs_jax.report.rounded import precision_note, rounding_of
from prefiqs_jax.statistics import ROUNDING

RESIDUAL, RANK, NORM = "median_relative_residual", "spearman", "median_norm_error"


def _said(columns, clusters=40):
    lines = [
        {"statistic": name, "sparsity": sparsity, "value": value, "images": 40}
        for name, values in columns.items()
        for sparsity, value in zip((0.1, 0.4, 0.9), values, strict=True)
    ]
    table = pd.DataFrame(lines).assign(clusters=clusters, resampled_by="identity")
    return " ".join(finding(table)).replace("\N{NO-BREAK SPACE}", " ")


def test_unknown_is_neither_good_nor_bad():
    good = {RESIDUAL: (0.02, 0.05, 1.2), NORM: (0.01, 0.02, 0.03)}
    nan = np.nan
    said = _said({**good, RANK: (nan, 0.95, 0.2)})
    assert "(Spearman at least 0.9) up to sparsity 0.4 (not known at 0.1);" in said
    said = _said({**good, RANK: (nan, 0.5, 0.2)})
    assert "(Spearman at least 0.9) at no sparsity (not known at 0.1);" in said
    said = _said({**good, RANK: (0.95, nan, nan)})
    assert "up to sparsity 0.1 (not known at 0.4, 0.9);" in said
    said = _said({**good, RANK: (nan, nan, nan)})
    assert "(Spearman at least 0.9) up to an unknown sparsity;" in said
    said = _said({**good, RANK: (0.95, 0.5, nan)})
    assert "(Spearman at least 0.9) up to sparsity 0.1;" in said


@pytest.mark.parametrize(
    ("value", "written", "where"),
    [
        (0.0999, "9.99 %", "up to sparsity 0.1"),
        (0.09996, "9.996 %", "up to sparsity 0.1"),
        (0.1, "10 %", "up to sparsity 0.1"),
        (0.1004, "10.04 %", "at no sparsity"),
    ],
)
def test_a_percentage_is_on_the_side_that_is_said(value, written, where):
    said = _said({RESIDUAL: (value, 0.5, 0.6), RANK: [1] * 3, NORM: [0] * 3})
    assert f": {written} at sparsity 0.1" in said
    assert f"within 10 % of the change itself {where};" in said


def test_the_finding_says_what_it_rests_on():
    values = {RESIDUAL: [0.05] * 3, RANK: [1] * 3, NORM: [0] * 3}
    assert "all by point estimates" in _said(values)
    assert "few people" not in _said(values)
    assert "few people, 7 at the fewest" in _said(values, clusters=7)


def _error(median, largest):
    each = {"median": median, "largest": largest}
    return {"images": 8, "first_order": each, "drift": each}


@pytest.mark.parametrize(
    ("precision", "errors", "rounding"),
    [
        ("highest", [], ROUNDING),
        ("high", [], 1.25e-2),
        ("high", [_error(0.0, 0.0)], ROUNDING),
        ("high", [_error(0.0, 0.0), _error(1e-4, 1e-3)], 1.25e-2),
        ("fast", [None, _error(0.01, 0.2)], 0.1),
    ],
)
def test_rounding_goes_by_the_precision_that_was_run(precision, errors, rounding):
    manifest = {
        "settings": {"precision": precision},
        "sessions": [{}, *({"precision_error": error} for error in errors)],
    }
    assert rounding_of(manifest) == rounding
    assert bool(precision_note(manifest)) == (rounding > ROUNDING)
    assert rounding_of({}) == ROUNDING


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_run_in_a_low_precision_says_so_beside_its_finding(make_run):
    run = make_run(20, (0.05, 0.7), people=10)
    path = run / "run.json"
    manifest = json.loads(path.read_text())
    manifest["settings"]["precision"] = "fast"
    manifest["sessions"][0]["precision_error"] = _error(0.012, 0.26)
    path.write_text(json.dumps(manifest))
    report = write_report(run)
    text = report.read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    after = text.partition('<p class="finding">')[2].partition("</p>")[2]
    note = after.partition('<p class="warning">')[2].partition("</p>")[0]
    assert note.startswith("Precision fast (factors of products in bfloat16")
    assert "drift by 1.2 % (at most 26 %)" in note
    assert "are at most 0.1, which" in text
    tables = report.parent / "tables"
    images = pd.read_csv(tables / "images.csv")
    assert set(images.loc[images["below_rounding"], "sparsity"]) == {0.05}
    assert set(images.loc[~images["below_rounding"], "sparsity"]) == {0.7}
    statistics = pd.read_csv(tables / "statistics.csv")
    low = statistics.loc[statistics["sparsity"] == 0.05]
    assert set(low["caution"]) == {"all changes are rounding"}
