"""The alignment study: what it measures, how it sums up, what it writes."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import spearmanr

from prefiqs_jax.backbones import Backbone, Preprocessing, Provenance
from prefiqs_jax.images.align import (
    TEMPLATES,
    Misalignment,
    Task,
    Template,
    misaligned_crops,
    misalignments,
)
from prefiqs_jax.masks.named import mask_named

TINY = Template(8, 8, TEMPLATES["arcface"].points / 14)


def network(params, images, maximum):
    """Embed the means of 4×4 cells of an image by two dense layers."""
    count, side = images.shape[:2]
    cells = images.reshape(count, 4, side // 4, 4, side // 4, 3).mean((2, 4))
    first, second = params["first"]["kernel"], params["second"]["kernel"]
    return maximum(cells.reshape(count, -1) @ first, 0) @ second


def tiny_backbone(side):
    rng = np.random.default_rng(0)
    shapes = {"first": (48, 10), "second": (10, 5)}
    params = {
        name: {"kernel": rng.standard_normal(shape).astype(np.float32)}
        for name, shape in shapes.items()
    }
    return Backbone(
        name="tiny",
        params=params,
        apply_fn=lambda params, images: network(params, images, jnp.maximum),
        embedding_dim=5,
        preprocessing=Preprocessing(height=side, width=side),
        provenance=Provenance("tiny", "0" * 64, "tiny", "0" * 64, "none"),
    )


@pytest.fixture(scope="module")
def script(script):
    return script("alignment_study")


@pytest.fixture
def faces(tmp_path):
    """Give four images of 40×30 pixels of two people, and their tasks."""
    rng = np.random.default_rng(0)
    tasks = []
    for index in range(4):
        pixels = rng.integers(0, 256, (40, 30, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
        points = TINY.points * 1.5 + rng.uniform(5, 12, 2)
        tasks.append(Task(f"{index}.png", f"{index}.png", f"p{index // 2}", points))
    return tmp_path, tasks


def test_rows_are_those_of_crops_from_the_source(script, faces):
    root, tasks = faces
    backbone, mask = tiny_backbone(8), mask_named("global/magnitude")
    errors = [*misalignments([1], [], [1.2]), Misalignment("shift_y", -30)]
    source = script.Source(root, tasks, TINY)
    rows = script.study(backbone, mask, (0.2, 0.5), source, errors, progress=False)
    assert len(rows) == 4 * len(errors) * 2
    assert rows.columns.tolist() == [
        *("image", "identity", "kind", "amount", "sparsity"),
        *("first_order", "drift", "quality", "similarity", "over_the_edge"),
    ]
    pixels = np.asarray(Image.open(root / "2.png"))
    crops, over = misaligned_crops(pixels, tasks[2].landmarks, TINY, errors)
    images = crops / 127.5 - 1
    kernels = {name: leaf["kernel"] for name, leaf in backbone.params.items()}
    weights = np.sort(np.concatenate([abs(k).ravel() for k in kernels.values()]))
    limit = weights[len(weights) // 2 - 1]  # half of them go
    pruned = {n: {"kernel": k * (abs(k) > limit)} for n, k in kernels.items()}
    raw = (network(params, images, np.maximum) for params in (backbone.params, pruned))
    before, after = (each / np.linalg.norm(each, axis=1)[:, None] for each in raw)
    ours = rows.loc[(rows["image"] == "2.png") & (rows["sparsity"] == 0.5)]
    assert ours["kind"].tolist() == [error.kind for error in errors]
    assert set(ours["identity"]) == {"p1"}
    drift = np.linalg.norm(after - before, axis=1)
    np.testing.assert_allclose(ours["drift"], drift, rtol=1e-4)
    np.testing.assert_allclose(ours["quality"], 1 - drift / 2, rtol=1e-4)
    np.testing.assert_allclose(ours["similarity"], before @ before[0], atol=1e-5)
    assert ours["over_the_edge"].tolist() == over
    assert over[-1]
    assert not over[0]


def invented(images=12):
    """Invent rows: one error takes 0.1 off the quality, another shuffles it."""
    rng = np.random.default_rng(0)
    lines = []
    order = rng.permutation(images)
    for index in range(images):
        for sparsity in (0.1, 0.4):
            start = 0.9 - sparsity * index / 100
            for kind, amount, quality in (
                ("aligned", 0.0, start),
                ("shift_x", 2.0, start - 0.1),
                ("scale", 0.8, 0.9 - sparsity * order[index] / 100),
            ):
                drift = 2 - 2 * quality
                name = f"{index:02d}.png"
                key = (name, f"p{index // 3}", kind, amount, sparsity)
                similarity, edge = 1 - amount / 10, kind == "scale"
                lines.append((*key, 1.1 * drift, drift, quality, similarity, edge))
    columns = ["image", "identity", "kind", "amount", "sparsity", "first_order"]
    columns += ["drift", "quality", "similarity", "over_the_edge"]
    return pd.DataFrame(lines, columns=columns).sample(frac=1, random_state=0)


def value(table, statistic, kind, amount, sparsity: float | None = 0.4):
    chosen = table.loc[
        (table["statistic"] == statistic)
        & (table["kind"] == kind)
        & (table["amount"] == amount)
        & (table["sparsity"].isna() if sparsity is None else table.sparsity == sparsity)
    ]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_summary(script):
    rows = invented()
    table = script.summarise(rows)
    assert set(table["resampled_by"]) == {"identity"}
    assert set(table["clusters"]) == {4}
    assert set(table["images"]) == {12}
    wide = rows.loc[rows["sparsity"] == 0.4].pivot_table(
        index="image", columns="kind", values="quality"
    )
    change = value(table, "quality_change", "shift_x", 2.0)
    assert change[["value", "low", "high"]].tolist() == pytest.approx([-0.1] * 3)
    spread = value(table, "standardised_change", "shift_x", 2.0)["value"]
    assert spread == pytest.approx(-0.1 / wide["aligned"].std(ddof=0))
    assert value(table, "lower_fraction", "shift_x", 2.0)["value"] == 1
    assert value(table, "lower_fraction", "shift_x", 0.0)["value"] == 0
    # In the same order whoever is left out: that says nothing of how it varies.
    agreement = value(table, "rank_agreement", "shift_x", 2.0)
    assert agreement["value"] == pytest.approx(1)
    assert np.isnan(agreement["low"])
    assert "no interval: without one of the clusters it is 1" in agreement["caution"]
    shuffled = value(table, "rank_agreement", "scale", 0.8)
    expected, _ = spearmanr(wide["aligned"], wide["scale"])
    assert shuffled["value"] == pytest.approx(expected)
    assert shuffled["low"] < expected < shuffled["high"]
    mean = value(table, "mean_quality", "scale", 1.0)
    assert mean["value"] == pytest.approx(wide["aligned"].mean())
    assert mean["low"] < mean["value"] < mean["high"]
    similar = value(table, "mean_similarity", "scale", 0.8, sparsity=None)
    assert similar["value"] == pytest.approx(0.92)
    assert value(table, "edge_fraction", "scale", 0.8, sparsity=None)["value"] == 1
    assert value(table, "mean_first_order", "shift_x", 2.0)["value"] == pytest.approx(
        1.1 * value(table, "mean_drift", "shift_x", 2.0)["value"]
    )


def test_without_identities_images_are_drawn(script):
    rows = invented().assign(identity=None)
    table = script.summarise(rows)
    assert set(table["resampled_by"]) == {"image"}
    assert set(table["clusters"]) == {12}


@pytest.fixture(scope="module")
def table(script):
    summary = script.summarise(invented())
    return script.in_front(summary, "toy", "net", "global/magnitude")


def test_the_finding_is_made_of_the_lines(script, table):
    """The shift lowers the quality at both sparsities; the scale shuffles it."""
    said = script.finding(table)
    change = [
        value(table, "standardised_change", kind, amount, sparsity)
        for kind, amount in (("shift_x", 2.0), ("scale", 0.8))
        for sparsity in (0.1, 0.4)
    ]
    low, high = (f([line["value"] for line in change]) for f in (min, max))
    assert said.count(". ") == 1
    assert "significantly in 2 and raise it in 0 of 4 cases" in said
    assert f"by {low:+.2f} to {high:+.2f} standard deviations" in said
    ranks = [
        value(table, "rank_agreement", "scale", 0.8, sparsity)["value"]
        for sparsity in (0.1, 0.4)
    ]
    assert f"Spearman {min(ranks):.2f} to 1.00 at the smallest error" in said
    assert "aligned image is 0.80 to 0.92 " in said
    turned = table.assign(low=-table["high"], high=-table["low"])
    assert "significantly in 0 and raise it in 2 of 4" in script.finding(turned)


def test_smallest_and_largest_errors_of_each_direction(script, table):
    own = table[(table["kind"] == "shift_x") & (table["amount"] == 2.0)]
    more = [own.assign(amount=a, value=v) for a, v in ((-1.0, 0.6), (-3.0, 0.3))]
    sides = list(script._sides(pd.concat([table, *more], ignore_index=True)))
    amounts = [list(dict.fromkeys(side["amount"])) for side in sides]
    assert sorted(amounts) == [[-1, -3], [0.8], [2]]
    left = [side for side in sides if side["amount"].max() < 0]
    assert script._told_at(left, "rank_agreement", 0) == "0.60"
    assert script._told_at(left, "rank_agreement", -1) == "0.30"


def test_the_row_is_made_of_the_lines(script, table):
    part = table[table["kind"] == "scale"]
    assert script.front(part) == {
        "run": "toy (net), global/magnitude",
        "images": "12 of 4 people",
        "sparsity": "0.1 → 0.4",
    }
    cells = script.row(part)
    assert cells["error"] == "scale (factor)"
    assert cells["from, to"] == "0.8, 1"
    assert cells["lower, higher"] == "0, 0 of 2"
    line = value(table, "rank_agreement", "scale", 0.8)
    ends = [line[name] for name in ("value", "low", "high")]
    assert cells["Spearman, from"].endswith(" → {:.2f} [{:.2f}, {:.2f}]".format(*ends))
    assert cells["cosine, from"] == "0.92 [0.92, 0.92]"
    shift = table[table["kind"] == "shift_x"]
    assert script.row(shift)["lower, higher"] == "2, 0 of 2"


@pytest.mark.slow
def test_runs_are_drawn_below_each_other(script, table, tmp_path, capsys):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        kept = tmp_path / name / "alignment_study.csv"
        table.assign(run=name).to_csv(kept, index=False)
    words = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert script.main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "| two (net), global/magnitude | 12 of 4 people" in capsys.readouterr().out
    figure = script.draw(Figure(), pd.concat([table, table.assign(run="two")]))
    assert len(figure.subfigs) == 2
    assert len(figure.axes) == 2 * 2 * 4


@pytest.mark.slow
def test_aligned_faces_from_the_command_line(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "load_backbone", lambda *_: tiny_backbone(112))
    rng = np.random.default_rng(0)
    (tmp_path / "faces").mkdir()
    for index in range(3):
        pixels = rng.integers(0, 256, (112, 112, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "faces" / f"{index}.png")
    words = [
        "--images",
        str(tmp_path / "faces"),
        "--aligned",
        "--backbone",
        "tiny",
        "--quiet",
    ]
    words += ["--shifts", "3", "--rotations", "5", "--scales", "1.1"]
    words += ["--sparsities", "0.4", "--out", str(tmp_path / "o")]
    assert script.main(words) == 0
    rows = pd.read_parquet(tmp_path / "o/alignment_rows.parquet")
    assert len(rows) == 3 * (1 + 4 + 2 + 1)
    table = pd.read_csv(tmp_path / "o/alignment_study.csv")
    assert set(table["run"]) == {"o"}
    assert set(table["images"]) == {3}
    aligned = rows.loc[rows["kind"] == "aligned"]
    assert not aligned["over_the_edge"].any()
    assert rows.loc[rows["kind"] == "shift_x", "over_the_edge"].all()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--shifts", "0"], "shift 0 is not a finite number above 0"),
        (["--scales", "a"], "scale 'a' is not a number in (0, inf)"),
        (["--sparsities", "1"], "sparsity 1 is not a number in [0, 1)"),
        (["--backbone", "gone"], "gone"),
        ([], "there is no table of landmarks"),
        (["--aligned"], "0.png cannot be used: an image of 40×30 pixels"),
    ],
)
def test_bad_input_ends_in_one_line(script, tmp_path, capsys, words, told):
    Image.new("RGB", (40, 30)).save(tmp_path / "0.png")
    given = [
        "--images",
        str(tmp_path),
        "--backbone",
        "demo",
        "--quiet",
        "--out",
        "nowhere",
        *words,
    ]
    assert script.main(given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not Path("nowhere").exists()
