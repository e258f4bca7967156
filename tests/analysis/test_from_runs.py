"""What scripts share: strata, intervals, the page of findings; and a run to its end."""

import doctest

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_run import without_each_person

WITH_EXAMPLES = (
    "from_images",
    "in_words",
    "measured",
    "findings_page",
    "from_evaluations",
    "sparsity_choice",
    "transfer",
    "metric",
)
NAMES = ("first_order_limits", "layers", "kinks", "controls")
OF_IMAGES = ("paths", "metric")


@pytest.fixture(scope="module")
def from_runs(script):
    return script("from_runs")


@pytest.fixture(scope="module")
def measured(script):
    return script("measured")


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples(script, name):
    found = doctest.testmod(script(name), optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0


def test_levels(measured, simulated):
    found = list(measured.levels(simulated[0]))
    assert [(level.sparsity, level.stratum) for level in found[:3]] == [
        (0.1, "all"),
        (0.1, "clean"),
        (0.1, "degraded"),
    ]
    assert len(found) == 9
    assert found[0].weights.shape == (11, 80)
    # Copies are left out with their person.
    assert (found[0].weights[1:].sum(axis=1) == 72).all()
    clean = found[1]
    rows = clean.rows
    drift = clean.column("drift")
    without = [drift[rows["identity"] != f"p{p}"].mean() for p in range(10)]
    np.testing.assert_allclose(clean.mean(drift), [drift.mean(), *without])


def test_one_interval_is_students(measured, simulated):
    lines = measured.Lines(simulated[0])
    level = next(x for x in measured.levels(simulated[0]) if x.stratum == "clean")
    drift = level.column("drift")
    lines.add(level, "drift", "", level.mean(drift), "linear")
    (line,) = lines.table().to_dict("records")
    without = without_each_person(drift)
    error = np.sqrt(0.9 * ((without - without.mean()) ** 2).sum())
    reach = stats.t.ppf(0.975, 9) * error
    # The quantile is that of 20,000 draws.
    assert line["high"] - line["value"] == pytest.approx(reach, rel=0.03)
    assert line["value"] - line["low"] == pytest.approx(reach, rel=0.03)


def test_a_share_of_all_has_no_interval(measured, simulated):
    lines = measured.Lines(simulated[0])
    level = next(measured.levels(simulated[0]))
    lines.add(level, "share", "", level.mean(np.ones(80)), "logit")
    (line,) = lines.table().to_dict("records")
    assert line["value"] == 1
    assert np.isnan([line["low"], line["high"]]).all()


@pytest.mark.parametrize("name", NAMES + OF_IMAGES)
def test_files_and_page(script, from_runs, simulated, tmp_path, name):
    analysis = script(name).ANALYSIS
    table = analysis.measure(simulated[0])
    page = tmp_path / "docs" / "found.md"
    page.parent.mkdir()
    page.write_text(f"# Mine\n\n## {analysis.title}\n\nold words\n\n## Other\n\nkept\n")
    said = from_runs.write(analysis, table, tmp_path / "out", page)
    assert len(said) == 3
    assert said[1].startswith("| run | images | sparsity | ")
    assert "| simulated (toy), global/magnitude | 40 clean of 10 people |" in said[1]
    for suffix in ("png", "pdf", "csv"):
        assert (tmp_path / "out" / f"{name}.{suffix}").stat().st_size > 0
    assert (tmp_path / "out" / f"{name}.txt").read_text() == "\n\n".join(said) + "\n"
    text = page.read_text()
    assert "old words" not in text
    assert text.startswith(f"# Mine\n\n## {analysis.title}\n\n{said[0]}\n\n|")
    assert text.endswith("## Other\n\nkept\n")
    assert f"found/{name}.csv" in text
    # The stored table says the same.
    stored = pd.read_csv(tmp_path / "docs" / "found" / f"{name}.csv")
    assert from_runs.findings(analysis, stored) == said


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_from_a_run_to_the_finding(script, toy_run, tmp_path, capsys, name):
    out = tmp_path / "out"
    assert script(name).main([str(toy_run), "--out", str(out)]) == 0
    table = pd.read_csv(out / f"{name}.csv")
    assert set(table["stratum"]) == {"all", "clean", "degraded"}
    assert set(table["sparsity"].dropna()) == {0.2, 0.5}
    told = capsys.readouterr().out
    assert "\n| toy, global/magnitude | 8 clean of 4 people | 0.2 → 0.5 |" in told
    assert script(name).main([str(toy_run), str(toy_run), "--out", str(out)]) == 2
    assert "two runs have one name" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_without_the_measurement(script, toy_run, tmp_path, capsys):
    (tmp_path / "plain").mkdir()
    text = (toy_run / "run.json").read_text()
    text = text.replace('"kinks",\n', "")
    (tmp_path / "plain" / "run.json").write_text(text)
    words = [str(tmp_path / "plain"), "--out", str(tmp_path / "out")]
    assert script("kinks").main(words) == 2
    assert "lacks kinks; sweep again with --with kinks" in capsys.readouterr().err
