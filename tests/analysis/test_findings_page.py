"""docs/findings.md says what the tables beside it say."""

from pathlib import Path

import pandas as pd
import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.slow
def test_sections(script):
    page = (DOCS / "findings.md").read_text("utf-8")
    names = script("all_questions").QUESTIONS
    assert page.count("\n## ") == len(set(names))
    for name in names:
        analysis = script(name).ANALYSIS
        table = pd.read_csv(DOCS / "findings" / f"{name}.csv", keep_default_na=True)
        said = script("from_runs").findings(analysis, table)
        section = script("findings_page").section
        assert section(analysis.title, name, said, "findings") in page, name
        assert (DOCS / "findings" / f"{name}.png").exists()
