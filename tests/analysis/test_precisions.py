"""Runs at several precisions: differences by hand, what is said, and from sweeps."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from simulated_run import one
from toy import toy_backbone

from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import mask_named
from prefiqs_jax.sweep import SweepOptions, sweep


@pytest.fixture(scope="module")
def ours(script):
    return script("precisions")


@pytest.fixture(scope="module")
def compared(ours, simulated):
    """Give the simulated run as float64's, and two others: one near, one far off."""
    reference = simulated[0]
    others = {}
    for precision, error in (("highest", 1e-4), ("high", 1e-4), ("fast", 0.02)):
        rng = np.random.default_rng(7)  # "high" as "highest"
        rows = reference.rows.copy()
        for name in ours.QUANTITIES:
            rows[name] += error * rng.uniform(-1, 1, len(rows))
        device = {"sessions": [{"device": "1 × abacus (cpu)"}]}
        others[precision] = reference._replace(rows=rows, manifest=device)
    return ours.Compared("simulated", reference, others)


@pytest.fixture(scope="module")
def table(ours, compared):
    return ours.measure(compared)


def test_differences_by_hand(table, compared):
    exact = compared.reference.rows
    exact = exact[exact["severity"] == 0]
    for precision in ("highest", "fast"):
        rows = compared.others[precision].rows.loc[exact.index]
        relative = (rows["residual"] / exact["residual"] - 1).abs()
        at = (exact["sparsity"] == 0.3).to_numpy()
        keys = {"stratum": "clean", "of": "residual", "precision": precision}
        median = one(table, statistic="median", sparsity=0.3, **keys)
        assert median["value"] == pytest.approx(np.median(relative[at]))
        assert median["low"] <= median["value"] <= median["high"]
        assert median["mean_drift"] == pytest.approx(exact["drift"][at].mean())
        largest = one(table, statistic="largest", sparsity=0.3, **keys)
        assert largest["value"] == pytest.approx(relative[at].max())
        within = one(table, statistic="within", sparsity=0.3, **keys)
        assert within["value"] == pytest.approx((relative[at] <= 1e-3).mean())
        worst = one(table, statistic="worst_drift", **keys)
        drift = exact["drift"][relative > 1e-3]
        assert worst["value"] == pytest.approx(drift.max() if len(drift) else 0)
        ranks = stats.spearmanr(rows["drift"][at], exact["drift"][at])[0]
        line = one(
            table, statistic="spearman", sparsity=0.3, **(keys | {"of": "drift"})
        )
        assert line["value"] == pytest.approx(ranks)
    assert line["low"] < ranks < line["high"]


def test_the_finding(ours, table):
    said = ours.finding(table)
    assert said.startswith(
        "On 1 × abacus (cpu) drifts are within 0.1% of float64's for"
    )
    assert said.endswith("; `high` gives the same numbers as `highest`.")
    assert "at no sparsity with `fast` (factors of products in bfloat16)." in said
    lines = table[(table["stratum"] == "clean") & (table["precision"] == "fast")]
    ranks = lines[(lines["of"] == "drift") & (lines["statistic"] == "spearman")]
    values = sorted(ranks["value"])
    assert f"{values[0]:.3f} to {values[-1]:.3f} with `fast`, and residuals" in said
    residuals = (table["of"] == "residual") & (table["statistic"] == "median")
    turned = table.assign(
        value=table["value"]
        .mask(residuals, 0.01)
        .mask(residuals & (table["precision"] == "fast"), 0.2)
    )
    assert "in the median in 0 of 3 and 3 of 3 runs and sp" in ours.finding(turned)
    other = table.assign(run="other", device="2 × tpu")
    within = (table["statistic"] == "within") & (table["precision"] == "fast")
    other["value"] = other["value"].mask(within, 1.0)
    both = ours.finding(pd.concat([table, other]))
    assert "On 1 × abacus (cpu) and 2 × tpu drifts" in both
    assert "on in 1 of 2 runs and at no sparsity in the others with `fast`" in both


def test_the_row(ours, script, table):
    parts = script("in_words").rows_of(table, *ours.ANALYSIS.by)
    rows = {each["precision"]: each for each in map(ours.row, parts)}
    assert list(rows) == ["`highest`", "`high`", "`fast`"]
    cells = rows["`fast`"]
    keys = {"stratum": "clean", "of": "drift", "precision": "fast"}
    first, last = (
        one(table, statistic="median", sparsity=sparsity, **keys)
        for sparsity in (0.1, 0.6)
    )
    assert cells["drift: median"] == " → ".join(
        f"{line['value']:.2g} [{line['low']:.2g}, {line['high']:.2g}]"
        for line in (first, last)
    )
    own = table[(table["stratum"] == "clean") & (table["precision"] == "fast")]
    largest = own[(own["of"] == "drift") & (own["statistic"] == "largest")]
    assert cells["largest"] == f"{largest['value'].max():.2g}"
    worst = one(table, statistic="worst_drift", **keys)["value"]
    assert cells["last beyond"] == f"{worst:.2g}"
    assert cells["drift within 0.1% from"] == "nowhere"
    off = own["statistic"].isin(["median", "worst_drift"])
    near = ours.row(own.assign(value=own["value"].mask(off, 0)))
    assert near["ruined"] == near["last beyond"] == "–"
    median = (own["statistic"] == "median") & (own["of"] == "cosine")
    far = own.assign(value=own["value"].mask(off, 0).mask(median, 1))
    assert ours.row(far)["ruined"] == "cosine at all sparsities"
    some = far.assign(value=far["value"].mask(median & (far["sparsity"] > 0.5), 0))
    assert ours.row(some)["ruined"] == "cosine at 0.1, 0.3"


def test_up_to_which_drift(ours, table):
    lines = table[(table["stratum"] == "clean") & (table["precision"] == "highest")]
    values = {0.1: 0.9, 0.3: 0.96, 0.6: 1.0}
    share = lines["sparsity"].map(values)
    is_share = lines["statistic"] == "within"
    lines = lines.assign(value=lines["value"].mask(is_share, share))
    drift = one(lines, statistic="median", of="drift", sparsity=0.3)["mean_drift"]
    assert ours._trusted(lines, "drift") == (drift, 0.3)
    assert ours.row(lines)["drift within 0.1% from"] == f"{drift:.2g} (0.3)"
    words = f"from a mean drift of {drift:.2g} on with `highest` (float32)."
    assert words in ours.finding(lines)


@pytest.fixture(scope="module")
def swept(toy_run, tmp_path_factory):
    """Sweep the toy network at three precisions."""
    images = read_folder(toy_run.parent / "faces")
    folder, made = tmp_path_factory.mktemp("precision"), {}
    for precision in ("double", "highest", "fast"):
        options = SweepOptions(batch_size=4, progress=False, precision=precision)
        made[precision] = sweep(
            toy_backbone(),
            images,
            mask_named("global/magnitude"),
            [0.2, 0.5],
            folder / f"toy_{precision}",
            options=options,
        )
    return made


@pytest.mark.slow
def test_from_sweeps_to_the_finding(ours, swept, tmp_path, capsys):
    out = tmp_path / "out"
    assert ours.main([*map(str, swept.values()), "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("On 1 × cpu (cpu) drifts are within")
    assert "\n| toy, global/magnitude | 8 of 4 people | 0.2 → 0.5 | `fast` | " in told
    table = pd.read_csv(out / "precisions.csv")
    assert set(table["precision"]) == {"highest", "fast"}
    value = {
        precision: one(
            table, statistic="median", of="drift", precision=precision, sparsity=0.2
        )["value"]
        for precision in ("highest", "fast")
    }
    assert 0 < value["highest"] < 1e-5 < value["fast"]


@pytest.mark.slow
def test_what_cannot_be_compared(ours, swept, toy_run, tmp_path):
    for runs, told in (
        (["highest", "fast"], "has no run at double"),
        (["double"], "has no other precision"),
    ):
        with pytest.raises(InputError, match=told):
            ours.open_compared([swept[each] for each in runs], ())
    with pytest.raises(InputError, match="toy has no run at double"):
        ours.open_compared([*swept.values(), toy_run], ())
    begun = shutil.copytree(swept["fast"], tmp_path / "toy_begun")
    part = begun / "rows" / "part-000000.parquet"
    assert len(list(part.parent.iterdir())) > 1
    part.unlink()
    with pytest.raises(InputError, match="toy_begun and toy_double have not the same"):
        ours.open_compared([swept["double"], begun], ())
