"""``python -m paper_figures``: everything from real runs, twice the same, in print."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from paper_figures.__main__ import main
from paper_figures.areas import gather
from paper_figures.record import COLUMN_IN, PAGE_IN, Missing
from paper_figures.runs import Evaluation, Material, open_runs
from paper_figures.table_6_pruned import make as make_pruned
from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.plugins import held_by_files

ITEMS = {item.name for item in held_by_files("paper_figures", "ITEM")}
WIDTHS = (COLUMN_IN, PAGE_IN)
NAMES = ("sweep", "edc", "edc_random", "masks")


@pytest.fixture(scope="session")
def drawn(runs, tmp_path_factory):
    out = tmp_path_factory.mktemp("paper") / "out"
    assert main([*(str(runs / name) for name in NAMES), "--out", str(out)]) == 0
    return out


def sizes(pdf):
    (box,) = set(re.findall(rb"/MediaBox \[([^\]]+)\]", pdf))
    left, bottom, right, top = map(float, box.split())
    return (right - left) / 72, (top - bottom) / 72


@pytest.mark.slow
def test_every_item_is_drawn(drawn):
    stems = {path.name.rpartition(".")[0] for path in drawn.glob("[ft]*.*")}
    for item in ITEMS:
        assert any(stem.startswith(item) for stem in stems), item
    for stem in stems:
        ends = {path.suffix for path in drawn.glob(f"{stem}.*")}
        if stem.startswith("table"):
            assert ends == {".tex", ".md", ".csv"}
        elif ends != {".csv"}:  # one of several tables of a figure
            assert ends >= {".pdf", ".png"}
            assert list(drawn.glob(f"{stem}*.csv"))
    index = (drawn / "index.md").read_text()
    for target in re.findall(r"\]\(([^)]+)\)", index):
        assert (drawn / target).exists(), target
    paper = (drawn / "paper.tex").read_text()
    for target in re.findall(r"(?:includegraphics|input)\{([^}]+)\}", paper):
        assert (drawn / target).exists(), target


@pytest.mark.slow
def test_figures_fit_the_columns_and_embed_their_fonts(drawn):
    pdfs = sorted(drawn.glob("*.pdf"))
    assert len(pdfs) > 10
    for path in pdfs:
        pdf = path.read_bytes()
        width, height = sizes(pdf)
        assert any(width == pytest.approx(one, abs=0.01) for one in WIDTHS), path.name
        assert height < 9.2, path.name
        assert b"/Type3" not in pdf, path.name
        assert b"/FontFile2" in pdf, path.name
        assert b"CreationDate" not in pdf, path.name


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(runs, drawn, tmp_path):
    again = tmp_path / "again"
    assert main([*(str(runs / name) for name in NAMES), "--out", str(again)]) == 0
    names = {path.name for path in drawn.iterdir()}
    assert names == {path.name for path in again.iterdir()}
    for name in names - {".prefiqs.lock"}:
        assert (drawn / name).read_bytes() == (again / name).read_bytes(), name


@pytest.mark.slow
def test_areas_are_those_of_the_evaluations(runs, drawn):
    areas = pd.read_csv(runs / "edc" / "tables" / "areas.csv")
    table = pd.read_csv(drawn / "table_1_methods_other_scored_by_own_fmr0.1.csv")
    own = areas.query('verifier == "other" and scorer == "own" and fmr == 0.1')
    own = own.set_index("quality")
    shown = table.set_index("quality")
    assert "PreFIQs, 0.4, global/magnitude" in shown.index
    assert not any("0.1" in name for name in shown.index)
    pairs = {"norm": "norm", "PreFIQs, 0.4, global/magnitude": "prefiqs/0.4"}
    for printed, name in pairs.items():
        for column, end in (("noisy", "pauc"), ("noisy low", "low")):
            want = 1000 * own.loc[name, end]
            assert shown.loc[printed, column] == pytest.approx(want, rel=1e-6)
    masks = pd.read_csv(drawn / "table_3_masks_fmr0.1.csv")
    assert masks[["mask", "sparsity"]].values.tolist() == [
        ["global/magnitude", 0.1],
        ["global/magnitude", 0.4],
        ["global/random", 0.1],
        ["global/random", 0.4],
    ]
    random = pd.read_csv(runs / "edc_random" / "tables" / "areas.csv")
    random = random[(random.fmr == 0.1) & (random.quality == "prefiqs/0.4")]
    assert masks.iloc[3]["noisy, own"] == pytest.approx(1000 * random.pauc.item())


@pytest.mark.slow
def test_agreement_is_that_of_the_rows(runs, drawn):
    rows = results.read(runs / "sweep")
    at = rows[rows.sparsity == 0.4]
    table = pd.read_csv(drawn / "table_5_agreement_sweep.csv").set_index("sparsity")
    want = (at.residual / at.drift).median()
    assert table.loc[0.4, "relative residual"] == pytest.approx(want, rel=1e-6)
    rank = at.first_order.rank().corr(at.drift.rank())
    assert table.loc[0.4, "Spearman ρ"] == pytest.approx(rank, rel=1e-6)
    points = pd.read_csv(drawn / "figure_4_drift_sweep.csv")
    assert len(points) == len(rows)


@pytest.mark.slow
def test_what_no_run_gives_is_named(runs, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(runs / "sweep"), "--out", str(out)]) == 0
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert "figure_1_edc is left out: no folder of prefiqs edc is given" in lines
    assert len(lines) == len({line.partition(" ")[0] for line in lines}) > 5
    assert told.out == f"{out / 'index.md'}\n"
    assert (out / "figure_4_drift_sweep.pdf").exists()


def test_bad_runs_end_in_one_line(tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(tmp_path), "--out", str(out)]) == 2
    assert "is not a run" in capsys.readouterr().err
    (tmp_path / "evaluation.json").write_text("{}")
    assert main([str(tmp_path), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "areas.csv is missing" in line
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "areas.csv").write_text("benchmark,pauc\n")
    assert main([str(tmp_path), "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "areas.csv has no column kind" in line
    assert main([str(tmp_path), str(tmp_path), "--out", str(out)]) == 2
    assert "two runs have one name" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
def test_evaluations_at_odds_are_refused(runs, tmp_path, capsys):
    copy = tmp_path / "edc_copy"
    shutil.copytree(runs / "edc", copy)
    path = copy / "tables" / "areas.csv"
    areas = pd.read_csv(path)
    assert len(gather(open_runs([runs / "edc", copy]))) == len(areas)  # the same, twice
    words = [str(runs / "edc"), str(copy), "--out", str(tmp_path / "out")]
    areas.assign(pauc=areas["pauc"] + 0.001).to_csv(path, index=False)
    assert main(words) == 2
    assert "two evaluations have different areas of" in capsys.readouterr().err
    areas.assign(protocol="fiqat").to_csv(path, index=False)
    assert main(words) == 2
    assert "the evaluations have protocol crfiqa, fiqat" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_files_of_the_user_stay(runs, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.md").write_text("mine")
    assert main([str(runs / "sweep"), "--out", str(out)]) == 2
    assert "index.md is not from prefiqs" in capsys.readouterr().err
    assert [path.name for path in out.glob("[!.]*")] == ["index.md"]
    assert (out / "index.md").read_text() == "mine"


def test_pruned_networks_of_several_evaluations_are_one_table():
    def evaluation(mask, levels, eer, accuracy=np.nan):
        rows = [
            {
                "benchmark": benchmark,
                "verifier": "net",
                "mask": mask,
                "sparsity": level,
                "accuracy": accuracy - level if benchmark == "lfw" else np.nan,
                "accuracy_low": accuracy - level - 0.02,
                "accuracy_high": accuracy - level + 0.01,
                "eer": eer + level / 10,
                "fmr": fmr,
            }
            for benchmark in ("lfw", "att")
            for level in (0.0, *levels)
            for fmr in (0.1, 0.01)
        ]
        nothing = pd.DataFrame()
        return Evaluation(mask, mask, nothing, nothing, nothing, pd.DataFrame(rows))

    def made(*evaluations):
        (found,) = make_pruned(Material(evaluations=evaluations))
        return found

    one = evaluation("global/magnitude", (0.3, 0.7), 0.01, 0.99)
    other = evaluation("a/random", (0.5,), 0.01, 0.99)
    table = made(one, other)
    assert table.labels == [
        ("unpruned", "0"),
        ("global/magnitude", "0.3"),
        ("global/magnitude", "0.7"),
        ("a/random", "0.5"),
    ]
    lfw, att = table.columns
    assert (lfw.title, att.title) == ("lfw, accuracy", "att, EER")
    np.testing.assert_allclose(lfw.value, [99, 69, 29, 49])
    assert lfw.low is not None
    assert lfw.high is not None
    np.testing.assert_allclose(lfw.low, [97, 67, 27, 47])
    np.testing.assert_allclose(lfw.high, [100, 70, 30, 50])
    assert att.low is None
    np.testing.assert_allclose(att.value, [1, 4, 8, 6])
    with pytest.raises(InputError, match="different errors when pruned on lfw"):
        made(one, evaluation("a/random", (0.5,), 0.02, 0.99))
    with pytest.raises(Missing, match="--verify-pruned"):
        made(one._replace(pruned=None))
