"""The comparison of masks: at equal sparsity, drift and residual, and in words."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from prefiqs_jax.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


def _module(path):
    spec = importlib.util.spec_from_file_location(
        f"{path.parent.name}_{path.stem}", path
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script(script):
    return script("mask_ablation")


SPARSITIES = np.array([0.01, 0.03, 0.1, 0.3, 0.6])
LAWS = {
    # drift = a s^1.5, residual / drift = b drift^c: straight lines over logarithms
    "global/magnitude": (0.5, 1.0, 1.0),
    "global/random": (20.0, 1.0, 1.0),
    "global/wanda": (0.5, 0.5, 1.0),
}


def simulated(people=8, each=3, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        for shot in range(each):
            scale = np.exp(rng.normal(0, 0.2))
            for copy, severity in (("", 0.0), ("~blur_0.5", rng.uniform(0.1, 1))):
                for mask, (a, b, c) in LAWS.items():
                    for s in SPARSITIES:
                        drift = a * s**1.5 * scale * (1 + severity)
                        rows.append(
                            {
                                "backbone": "toy",
                                "mask": mask,
                                "image": f"{person}/{shot}.png{copy}",
                                "identity": f"p{person}",
                                "sparsity": s,
                                "first_order": drift * np.exp(rng.normal(0, 0.05)),
                                "drift": drift,
                                "residual": drift * b * (a * s**1.5) ** c,
                                "severity": severity,
                            }
                        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def table(script):
    return script.measure(script.Ablation("toy", simulated()))


def at(table, equal, level, statistic):
    chosen = (table["equal"] == equal) & (table["statistic"] == statistic)
    chosen &= np.isclose(table["level"], level)
    return table.loc[chosen].set_index("mask")


def test_statistics_at_equal_sparsity(table):
    rows = simulated()
    own = rows[(rows["sparsity"] == 0.1) & (rows["mask"] == "global/wanda")]
    clean = own[own["severity"] == 0]
    expected = {
        "mean_drift": clean["drift"].mean(),
        "relative_residual": 0.5 * 0.5 * 0.1**1.5,  # the same of every image
        "spearman": stats.spearmanr(clean["first_order"], clean["drift"])[0],
        "severity_correlation": stats.spearmanr(own["drift"], own["severity"])[0],
    }
    for name, value in expected.items():
        line = at(table, "sparsity", 0.1, name).loc["global/wanda"]
        assert line["value"] == pytest.approx(value, rel=1e-9)
        rounding = 1e-9 * line["value"]
        assert line["low"] - rounding <= line["value"] <= line["high"] + rounding
    assert set(table["images"]) == {24}
    assert set(table["people"]) == {8}


def test_intervals_are_of_people_left_out(table):
    rows = simulated()
    own = rows[
        (rows["sparsity"] == 0.3)
        & (rows["mask"] == "global/magnitude")
        & (rows["severity"] == 0)
    ]
    without = np.log(
        [own.loc[own["identity"] != f"p{p}", "drift"].mean() for p in range(8)]
    )
    error = np.sqrt(7 / 8 * ((without - without.mean()) ** 2).sum())
    reach = stats.t.ppf(0.975, 7) * error
    line = at(table, "sparsity", 0.3, "mean_drift").loc["global/magnitude"]
    assert line["high"] == pytest.approx(line["value"] * np.exp(reach))
    assert line["low"] == pytest.approx(line["value"] / np.exp(reach))


def test_where_the_first_order_holds(table, script):
    """The residual is b a s^1.5: it is 1/4 where s = (1 / (4 a b))^(2/3)."""
    found = at(table, "residual", script.BOUND, "sparsity")
    for mask, expected in {
        "global/magnitude": 0.5 ** (2 / 3),  # 0.63: beyond what was swept
        "global/random": 0.0125 ** (2 / 3),
        "global/wanda": None,
    }.items():
        line = found.loc[mask]
        if mask == "global/random":
            assert line["value"] == pytest.approx(expected, rel=1e-9)
            assert line["note"] == ""
        else:
            assert np.isnan(line["value"])
            assert line["note"] == "below the bound at every sparsity"


def test_at_equal_drift_random_is_no_worse_than_magnitude(table):
    """Its law is the same function of the drift: at equal sparsity it seems worse."""
    equal = at(table, "drift", 0.1, "relative_residual")
    assert equal.loc["global/random", "difference"] == pytest.approx(0, abs=2e-3)
    wanda = equal.loc["global/wanda"]
    assert wanda["value"] == pytest.approx(
        equal.loc["global/magnitude", "value"] / 2, rel=0.02
    )
    assert wanda["difference_high"] < 0
    same = at(table, "sparsity", 0.03, "relative_residual")
    assert same.loc["global/random", "difference_low"] > 0


def test_the_finding_is_made_of_the_numbers(table, script):
    said = script.finding(table)
    assert said.startswith(
        "The first order misses at most 25% of the embedding's change up to sparsity "
        "above 0.6 (toy) with magnitude; significantly farther (in how many of 1 runs) "
        "with none, and nowhere with none. At one mean drift, 0.1, it misses "
    )
    missed = at(table, "drift", 0.1, "relative_residual")
    assert f"{100 * missed.loc['global/magnitude', 'value']:.0f}% with magn" in said
    assert "significantly less with global/wanda (1); the drift's" in said
    assert said.endswith("from magnitude's in 0 of 2 masks and runs.")
    assert said.count(". ") == 1  # two sentences
    turned = table.assign(
        difference_low=-table["difference_high"],
        difference_high=-table["difference_low"],
        note="above the bound at the lowest sparsity",
    )
    said = script.finding(turned)
    assert "below 0.01 (toy) with magnitude" in said
    assert "nowhere with global/magnitude, global/random and global/wanda (1)" in said
    assert "significantly less with none; the" in said
    chosen = (table["equal"] == "residual") | (
        table["statistic"] == "severity_correlation"
    )
    sure = table.assign(difference_low=0.1, difference_high=0.2, note="").where(
        chosen, table
    )
    said = script.finding(sure)
    assert "with global/magnitude, global/random and global/wanda (1), and now" in said
    assert said.endswith("from magnitude's in 2 of 2 masks and runs.")


def test_the_row_is_made_of_the_numbers(table, script):
    cells = script.row(table[table["mask"] == "global/wanda"])
    assert cells["misses 25% at sparsity"] == "above 0.6"
    assert cells["− magnitude's"] == "–"
    line = at(table, "drift", 0.1, "relative_residual").loc["global/wanda"]
    ends = [100 * line[f"difference{end}"] for end in ("", "_low", "_high")]
    assert cells["% missed − magnitude's"] == "{:+.0f} [{:+.0f}, {:+.0f}]".format(*ends)
    line = at(table, "drift", 0.1, "severity_correlation").loc["global/wanda"]
    ends = [line[end] for end in ("value", "low", "high")]
    assert cells["with severity"] == "{:.2f} [{:.2f}, {:.2f}]".format(*ends)
    cells = script.row(table[table["mask"] == "global/random"])
    line = at(table, "residual", 0.25, "sparsity").loc["global/random"]
    assert cells["misses 25% at sparsity"].startswith(f"{line['value']:.2g} [")
    nothing = table.assign(value=np.nan, difference=np.nan)
    cells = script.row(nothing[table["mask"] == "global/random"])
    assert set(list(cells.values())[1:]) == {"–"}


def test_rows_that_cannot_be_compared(script):
    rows = simulated(people=3, each=1)
    with pytest.raises(InputError, match="no global/magnitude to compare with"):
        script.summarise(rows[rows["mask"] != "global/magnitude"])
    with pytest.raises(InputError, match="lack identities or degraded copies"):
        script.summarise(rows.drop(columns="severity"))


@pytest.fixture
def faces(tmp_path):
    rng = np.random.default_rng(0)
    for who in ("ann", "bob", "eve"):
        (tmp_path / "faces" / who).mkdir(parents=True)
        for shot in range(2):
            pixels = rng.integers(0, 256, (112, 112, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "faces" / who / f"{shot}.png")
    return tmp_path / "faces"


@pytest.mark.slow
def test_from_faces_to_the_finding(script, faces, tmp_path, capsys):
    experiment = _module(ROOT / "experiments" / "sweep_masks.py")
    run, out = tmp_path / "run", tmp_path / "out"
    words = [str(faces), "--out", str(run), "--backbone", "demo", "--quiet"]
    words += ["--masks", "global/magnitude,global/random,output/wanda"]
    words += ["--sparsities", "0.05,0.5", "--measured", "1"]
    assert experiment.main(words) == 0
    assert script.main([str(run), "--out", str(out)]) == 0
    found = pd.read_csv(out / "mask_ablation.csv")
    assert set(found["mask"]) == {"global/magnitude", "global/random", "output/wanda"}
    assert set(found["images"]) == {3}
    assert set(found["run"]) == {"run"}
    said = (out / "mask_ablation.txt").read_text()
    assert "| run (demo), output/wanda | 3 clean of 3 people | " in said
    assert {path.suffix for path in out.glob("[!.]*")} == {
        ".csv",
        ".txt",
        ".png",
        ".pdf",
    }
    capsys.readouterr()
    assert experiment.main([*words[:-1], "2"]) == 2
    assert "nobody has more than 2 images" in capsys.readouterr().err
