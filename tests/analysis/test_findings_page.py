"""docs/findings.md says what the tables beside it say."""

from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


NAMES = ["first_order_limits", "kinks", "layers", "controls", "paths", "metric"]
NAMES += ["expected_drift", "sparsity_choice", "transfer", "precisions"]


@pytest.mark.parametrize("name", NAMES)
def test_sections(script, name):
    analysis = script(name).ANALYSIS
    table = pd.read_csv(DOCS / "findings" / f"{name}.csv", keep_default_na=True)
    said = script("from_runs").findings(analysis, table)
    page = (DOCS / "findings.md").read_text("utf-8")
    section = script("findings_page").section
    assert section(analysis.title, name, said, "findings") in page
    assert (DOCS / "findings" / f"{name}.png").exists()
