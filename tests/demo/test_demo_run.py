"""The whole demo, small: rows, tables, figures, summary; the same rows twice."""

import io
import json
import shutil
from contextlib import redirect_stdout

import drawn
import numpy as np
import pandas as pd
import pytest

from prefiqs_jax import results
from prefiqs_jax.cli import main
from prefiqs_jax.demo import report_demo
from prefiqs_jax.demo.settings import CLEAN, DEGRADED, SPARSITIES
from prefiqs_jax.errors import InputError

pytestmark = pytest.mark.slow
PEOPLE = 4
IMAGES = PEOPLE * (CLEAN + DEGRADED)
SETTINGS = ["--people", str(PEOPLE), "--severities", "0.4,1", "--seed", "2", "--quiet"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Run a small demo by the command line; give its folder and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "out"
    printed = io.StringIO()
    with redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawn.RENDER, drawn.png_alone)
        assert main(["demo", "--out", str(out), *SETTINGS]) == 0
    return out, printed.getvalue()


def test_rows_of_every_picture_and_sparsity(finished):
    rows = results.read(finished[0])
    assert len(rows) == IMAGES * len(SPARSITIES)
    assert len(SPARSITIES) >= 9
    drift = rows["drift"].to_numpy(np.float64)
    assert 0 <= drift.min() <= drift.max() <= 2
    assert len(set(rows["identity"])) == PEOPLE
    assert set(rows["backbone"]) == {"demo"}


def test_ten_lines(finished):
    out, printed = finished
    lines = printed.strip().splitlines()
    assert len(lines) == 10
    assert f"{IMAGES} images of synthetic people" in lines[0]
    assert "relative residual" in lines[2]
    assert "[" in lines[2]
    assert f"{PEOPLE} people: with fewer than 8 the intervals miss" in lines[2]
    assert "In rank (Spearman" in lines[3]
    few = f"Intervals of FNMR and of differences of {PEOPLE} people contain the truth"
    assert few in lines[6]
    assert few in (out / "report" / "report.html").read_text().partition("<figure")[2]
    assert lines[-1].endswith(str(out / "report" / "report.html"))


def test_tables_figures_and_page(finished):
    out, printed = finished
    report = out / "report"
    tables = {path.stem for path in (report / "tables").glob("*.csv")}
    assert tables >= {"edc", "ladder", "ladder_faces", "pictures", "verification"}
    assert tables >= {"statistics", "statistics_clean"}
    figures = {path.stem for path in (report / "figures").glob("*.png")}
    assert figures >= {"synthetic_faces", "degradation_ladder"}
    assert figures >= {"drift_against_severity", "error_versus_discard"}
    page = (report / "report.html").read_text()
    for line in printed.strip().splitlines()[:9]:
        assert line.split("'")[0] in page
    curves = pd.read_csv(report / "tables" / "edc.csv")
    assert set(curves["quality"]) == {
        "PreFIQs",
        "first order",
        "known severity",
        "random",
    }
    at_start = curves.loc[curves["discard_fraction"] == 0, "fnmr"]
    assert at_start.nunique() == 1


@pytest.mark.usefixtures("undrawn")
def test_same_rows_in_another_folder_and_after_a_kill(finished, tmp_path):
    first = results.read(finished[0])
    out = tmp_path / "again"
    shutil.copytree(finished[0], out)
    # As a kill in the middle of the sweep leaves it.
    manifest = json.loads((out / "run.json").read_text())
    manifest["finished"] = None
    (out / "run.json").write_text(json.dumps(manifest))
    part = max(out.glob("rows/part-*.parquet"))
    part.unlink()
    shutil.rmtree(out / "report")
    assert main(["demo", "--out", str(out), *SETTINGS]) == 0
    pd.testing.assert_frame_equal(results.read(out), first)
    assert (out / "report" / "report.html").exists()


@pytest.mark.usefixtures("undrawn")
def test_report_again_by_the_command_for_any_run(finished, capsys):
    out, _ = finished
    page = out / "report" / "report.html"
    before = page.read_text()
    assert "by severity" in before
    assert main(["report", str(out), "--strata", "drift-quartile", "--quiet"]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    assert "known severity" in page.read_text()
    other = "Agreement within strata of drift-quartile"
    assert other not in before
    assert other in page.read_text()


def test_unfinished_demo_has_no_report(finished, tmp_path):
    out = tmp_path / "half"
    shutil.copytree(finished[0], out)
    max(out.glob("rows/part-*.parquet")).unlink()
    with pytest.raises(InputError, match="is not finished; run prefiqs demo"):
        report_demo(out, progress=False)
