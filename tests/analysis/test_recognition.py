"""What is said of recognition with pruned networks is what their table holds."""

import numpy as np
import pandas as pd
import pytest

LEVELS = (0.0, 0.2, 0.4, 0.8)


@pytest.fixture(scope="module")
def recognition(script):
    return script("recognition")


def rows(mask, fnmr, low, eer, accuracy=np.nan):
    """Make a table of one network and benchmark; two rates of false matches."""
    change = np.subtract(fnmr, fnmr[0])
    both = [
        {
            "benchmark": "01",
            "kind": "folder",
            "verifier": "mine",
            "mask": mask,
            "sparsity": level,
            "accuracy": accuracy,
            "accuracy_low": accuracy - 0.01 if level else np.nan,
            "accuracy_high": accuracy + 0.02 if level else np.nan,
            "eer": eer[place],
            "fmr": rate,
            "fnmr": fnmr[place] * times,
            "mated_count": 1200,
            "non_mated_count": 9000,
            "low": 0.0,
            "high": 1.0,
            "difference": change[place] * times,
            "difference_low": low[place],
            "difference_high": 1.0,
        }
        for place, level in enumerate(LEVELS)
        for rate, times in ((0.001, 1), (0.01, 0.5))
    ]
    return pd.DataFrame(both)


@pytest.fixture
def folders(tmp_path):
    nan = np.nan
    made = {
        "good": rows("global/magnitude", [0.1, 0.1, 0.2, 0.6], [nan, -1, 0.02, 0.3],
                     [0.02, 0.02, 0.05, 0.3], 0.875),
        "bad": rows("filters/l1", [0.1, 1, 1, 1], [nan] * 4, [0.02, 0.5, 0.5, 0.5]),
    }  # fmt: skip
    for name, table in made.items():
        path = tmp_path / name / "tables" / "pruned_verification.csv"
        path.parent.mkdir(parents=True)
        table.to_csv(path, index=False)
    return [tmp_path / name for name in made]


@pytest.fixture
def table(recognition, folders):
    return pd.concat(map(recognition.measure, recognition.open_pruned(folders)))


def test_the_finding_is_made_of_the_lines(recognition, table):
    assert recognition.finding(table) == (
        "The rate of false non-matches at FMR 0.01 is first significantly above the "
        "unpruned network's at a sparsity of 0.4 with global/magnitude and none with "
        "filters/l1 (no interval tells in 1 of 1 cases). At 0.4, the paper's sparsity, "
        "the equal error rate is 5.0% with global/magnitude and 50.0% with filters/l1, "
        "beside 2.0% unpruned."
    )
    never = table.assign(low=-1.0)
    assert "sparsity of none with global/magnitude" in recognition.finding(never)


def test_the_rows_are_made_of_the_lines(recognition, table):
    (good, bad) = (part for _, part in table.groupby("run", sort=False))
    cells = recognition.row(good)
    assert recognition.front(good)["comparisons"] == "1,200 mated, 9,000 non-mated"
    assert cells["more errors from"] == "0.4"
    assert cells["EER, unpruned"] == "2.0%"
    assert cells["FNMR, 0.4"] == "10.0% [0.0%, 100.0%]"
    assert cells["difference, 0.4"] == "+5.0% [+2.0%, +100.0%]"
    assert cells["FNMR, last"] == "30.0% [0.0%, 100.0%]"
    assert cells["accuracy"] == (
        "87.5% (0), 87.5% [86.5%, 89.5%] (0.4), 87.5% [86.5%, 89.5%] (0.8)"
    )
    other = recognition.row(bad)
    assert list(other) == list(cells)
    assert other["more errors from"] == "–"
    assert other["accuracy"] == "–"


def test_from_evaluations_to_the_page(recognition, folders, tmp_path, capsys):
    page = tmp_path / "findings.md"
    words = [*map(str, folders), "--out", str(tmp_path / "out")]
    assert recognition.main([*words, "--findings", str(page)]) == 0
    told = capsys.readouterr().out
    assert "| mine | 01 | 1,200 mated, 9,000 non-mated | filters/l1 | – |" in told
    assert "## Whether recognition survives pruning" in page.read_text()
    assert (tmp_path / "findings" / "recognition.png").stat().st_size > 0


def test_refusals(recognition, folders, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert recognition.main([str(tmp_path), *out]) == 2
    assert "run prefiqs edc --verify-pruned" in capsys.readouterr().err
    again = tmp_path / "again"
    folders[0].rename(again)
    text = (again / "tables" / "pruned_verification.csv").read_text()
    (folders[0] / "tables").mkdir(parents=True)
    (folders[0] / "tables" / "pruned_verification.csv").write_text(text)
    assert recognition.main([str(again), str(folders[0]), *out]) == 2
    told = "two evaluations have mine pruned by global/magnitude on 01"
    assert told in capsys.readouterr().err
    (again / "tables" / "pruned_verification.csv").write_text("a,b\n1,2\n")
    assert recognition.main([str(again), *out]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
