"""The report of a run: complete, self-contained, honest about what is missing."""

import base64
import html.parser
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.report import write_report

FIGURES = {
    "relative_residual",
    "drift_against_first_order",
    "statistics_against_sparsity",
    "residual_against_sparsity",
    "distribution_of_drift",
    "layer_sparsity",
    "most_and_least_stable_faces",
}
TABLES = ("statistics", "quantiles", "images", "mask", "layers", "faces")


class _Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.lang = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        if tag == "html":
            self.lang = found.get("lang")
        if tag == "img":
            self.images.append(found)
        self.links += [found[k] or "" for k in ("href", "src") if k in found]


@pytest.fixture
def quick(monkeypatch):
    """Leave the rendering out, which takes most of the time, where words are tested."""
    monkeypatch.setattr("prefiqs_jax.report.write.render", lambda _: (b"png", b"pdf"))


def _figures(report):
    return {path.stem for path in (report.parent / "figures").iterdir()}


def test_report_is_complete_and_self_contained(make_run):
    run = make_run(12, (0.1, 0.4), people=4)
    report = write_report(run)
    assert report == run / "report" / "report.html"
    names = {path.name for path in report.parent.rglob("*") if path.is_file()}
    assert names == (
        {f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "pdf")}
        | {f"{n}.csv" for n in TABLES}
        | {"report.html"}
    )
    text = report.read_text(encoding="utf-8")
    page = _Page(text)
    assert page.lang == "en"
    assert len(page.images) == len(FIGURES)
    assert all(image["alt"] for image in page.images)
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not {"script", "link", "iframe", "b"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import", text)
    png = base64.b64decode(page.links[0].partition(",")[2])
    stored = (report.parent / "figures" / "relative_residual.png").read_bytes()
    assert png == stored
    for path in (report.parent / "figures").glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")


@pytest.mark.usefixtures("quick")
def test_page_shows_settings_and_provenance(make_run):
    text = write_report(make_run(6, (0.4,))).read_text(encoding="utf-8")
    for shown in (
        "0123456789abcdef" * 4,
        "prefiqs sweep --backbone demo --out run",
        "jax 0.8.0",
        "global/magnitude",
        "resampled by image",
        "bad&lt;b&gt;.png",
        "not a picture",
    ):
        assert shown in text
    assert "Unfinished" not in text


@pytest.mark.usefixtures("quick")
def test_tables_hold_what_the_rows_say(make_run):
    run = make_run(10, (0.1, 0.4), people=5)
    tables = write_report(run).parent / "tables"
    rows = results.read(run)
    images = pd.read_csv(tables / "images.csv")
    np.testing.assert_allclose(images["drift"], rows["drift"], rtol=1e-8)
    assert images["density"].between(0, 1).all()
    statistics = pd.read_csv(tables / "statistics.csv")
    assert len(statistics) == 12
    assert set(statistics["resampled_by"]) == {"identity"}
    layers = pd.read_csv(tables / "layers.csv")
    assert list(layers.columns) == ["layer", "size", "sparsity", "achieved_sparsity"]
    assert len(layers) == 6
    faces = pd.read_csv(tables / "faces.csv")
    at = rows[rows["sparsity"] == 0.4].set_index("image")["drift"]
    assert faces["image"].iloc[0] == at.idxmin()
    least = faces.loc[faces["end"] == "least stable", "image"]
    assert least.to_list()[0] == at.idxmax()
    assert faces["image"].is_unique


def test_same_run_same_files(make_run):
    run = make_run(5, (0.1, 0.4))
    first = write_report(run)
    kept = {p: p.read_bytes() for p in first.parent.rglob("*") if p.is_file()}
    write_report(run)
    assert {p for p, old in kept.items() if p.read_bytes() != old} == set()


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("sparsities", [(0.0, 0.1, 0.4), (0.3,)])
def test_small_runs_and_sparsity_zero(make_run, images, sparsities):
    report = write_report(make_run(images, sparsities))
    assert _figures(report) == FIGURES
    assert "–" in report.read_text(encoding="utf-8") or images == 3


def test_sparsity_zero_alone(make_run):
    report = write_report(make_run(4, (0.0,)))
    missing = {"drift_against_first_order", "most_and_least_stable_faces"}
    assert _figures(report) == FIGURES - missing
    assert "No sparsity above zero" in report.read_text(encoding="utf-8")


@pytest.mark.usefixtures("quick")
def test_unfinished_run_says_so(make_run):
    report = write_report(make_run(8, (0.1, 0.4), unfinished=3))
    assert "Unfinished: 5 of 8 images" in report.read_text(encoding="utf-8")


@pytest.mark.usefixtures("quick")
def test_pictures_that_moved(make_run, tmp_path):
    run = make_run(8, (0.1, 0.4))
    moved = tmp_path / "moved"
    (tmp_path / "run_pictures").rename(moved)
    report = write_report(run)
    assert "most_and_least_stable_faces" not in _figures(report)
    assert "not where it read them" in report.read_text(encoding="utf-8")
    report = write_report(run, images=moved)
    assert "most_and_least_stable_faces" in _figures(report)
    with pytest.raises(InputError, match="nowhere is no folder"):
        write_report(run, images=tmp_path / "nowhere")


@pytest.mark.usefixtures("quick")
def test_a_damaged_picture_is_left_out(make_run, tmp_path):
    run = make_run(8, (0.4,))
    pictures = sorted((tmp_path / "run_pictures").iterdir())
    pictures[0].write_bytes(b"no picture")
    text = write_report(run).read_text(encoding="utf-8")
    assert (
        f"Pictures of the grid that could not be opened: 1, {pictures[0].name}" in text
    )


def test_names_do_not_lead_out_of_the_folder(make_run, tmp_path):
    run = make_run(4, (0.4,))
    rows = results.read(run)
    for part in run.glob("part-*"):
        part.unlink()
    rows["image"] = "../run_pictures/" + rows["image"]
    rows.to_parquet(run / "part-000000.parquet")
    report = write_report(run, images=tmp_path / "run_pictures")
    assert "most_and_least_stable_faces" not in _figures(report)
    assert "could not be opened: 4, .." in report.read_text("utf-8")


@pytest.mark.usefixtures("quick")
def test_manifest_needs_only_to_exist(make_run):
    run = make_run(4, (0.1, 0.4))
    (run / "run.json").write_text("{}")
    report = write_report(run)
    missing = {"layer_sparsity", "most_and_least_stable_faces"}
    assert _figures(report) == FIGURES - missing


def test_bad_runs_are_input_errors(make_run, tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        write_report(tmp_path)
    empty = make_run(3, (0.4,), unfinished=3, name="empty")
    with pytest.raises(InputError, match="holds no rows yet"):
        write_report(empty)
    mixed = make_run(3, (0.4,), name="mixed")
    table = results.read(mixed).assign(mask="layerwise/magnitude")
    table.to_parquet(mixed / "part-000002.parquet")
    with pytest.raises(InputError, match="mixes networks or masks"):
        write_report(mixed)


@pytest.mark.usefixtures("quick")
def test_killed_report_leaves_no_half_file(make_run, monkeypatch):
    run = make_run(4, (0.4,))
    report = write_report(run)
    before = {p for p in report.parent.rglob("*") if p.is_file()}
    shutil.rmtree(report.parent)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_report(run)
    left = {p for p in report.parent.rglob("*") if p.is_file()}
    assert before
    assert left == set()


def test_dollar_signs_in_names_are_no_formulae(make_run, tmp_path):
    run = make_run(3, (0.4,))
    manifest = json.loads((run / "run.json").read_text())
    manifest["layers"][0]["name"] = r"a$\bad$_layer"
    (run / "run.json").write_text(json.dumps(manifest))
    rows = results.read(run)
    for part in run.glob("part-*"):
        part.unlink()
    for old in rows["image"]:
        new = old.replace("someone_with", r"x$\undefined$")
        (tmp_path / "run_pictures" / old).rename(tmp_path / "run_pictures" / new)
    rows["image"] = rows["image"].str.replace("someone_with", r"x$\undefined$")
    rows.to_parquet(run / "part-000000.parquet")
    report = write_report(run)
    assert _figures(report) == FIGURES
