"""The report of a run: complete, self-contained, honest about what is missing."""

import base64
import html.parser
import io
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.images import read_folder, take_inventory
from prefiqs_jax.plugins import held_by_files
from prefiqs_jax.report import write_report
from prefiqs_jax.results.inventory import write_inventory
from prefiqs_jax.statistics import STATISTICS

FIGURES = {
    "relative_residual",
    "drift_against_first_order",
    "statistics_against_sparsity",
    "layer_sparsity",
    "most_and_least_stable_faces",
    "worst_predicted_faces",
    *(figure.draw.__name__ for figure in held_by_files("prefiqs_jax.plots", "FIGURE")),
}
NORMS = ["delta_norm", "delta_norm_relative"]
TABLES = ("statistics", "quantiles", "reach", "images", "mask", "layers", "faces")
TABLES += ("worst_faces",)
GRIDS = {"most_and_least_stable_faces", "worst_predicted_faces"}


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


def _figures(report):
    return {path.stem for path in (report.parent / "figures").iterdir()}


@pytest.mark.slow
def test_report_is_complete_and_self_contained(make_run):
    run = make_run(12, (0.1, 0.4), people=4)
    report = write_report(run)
    assert report == run / "report" / "report.html"
    names = {path.name for path in report.parent.rglob("*") if path.is_file()}
    assert names == (
        {f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "pdf")}
        | {f"{n}.csv" for n in TABLES}
        | {"report.html", ".prefiqs.json"}
    )
    text = report.read_text(encoding="utf-8")
    page = _Page(text)
    assert page.lang == "en"
    # Each face by itself, at either end; one that opens large has none yet.
    faces = 12 + 8
    assert len(page.images) == len(FIGURES - GRIDS) + faces + 1
    assert [image for image in page.images if not image["alt"]] == [{"alt": ""}]
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert not {"iframe", "b"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttp", text)
    shown = next(image["src"] or "" for image in page.images)
    stored = Image.open(report.parent / "figures" / "relative_residual.png")
    with Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))) as image:
        assert image.format == "WEBP"
        assert image.convert("RGB").tobytes() == stored.convert("RGB").tobytes()
    for path in (report.parent / "figures").glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")


@pytest.mark.usefixtures("undrawn")
def test_every_figure_is_there(make_run):
    assert _figures(write_report(make_run(4, (0.1, 0.4)))) == FIGURES


@pytest.mark.usefixtures("undrawn")
def test_page_shows_settings_and_provenance(make_run):
    text = write_report(make_run(6, (0.4,))).read_text(encoding="utf-8")
    for shown in (
        "0123456789abcdef" * 4,
        "prefiqs sweep --backbone demo --out run",
        "jax 0.8.0",
        "global/magnitude",
        "by the jackknife over images, identities unknown",
        "bad&lt;b&gt;.png",
        "not an image",
    ):
        assert shown in text
    assert "Unfinished" not in text


@pytest.mark.usefixtures("undrawn")
def test_tables_hold_what_the_rows_say(make_run):
    run = make_run(10, (0.1, 0.4), people=5)
    tables = write_report(run).parent / "tables"
    rows = results.read(run)
    images = pd.read_csv(tables / "images.csv")
    np.testing.assert_allclose(images["drift"], rows["drift"], rtol=1e-8)
    statistics = pd.read_csv(tables / "statistics.csv")
    assert len(statistics) == 2 * len(STATISTICS)
    assert set(statistics["resampled_by"]) == {"identity"}
    layers = pd.read_csv(tables / "layers.csv")
    assert list(layers.columns)[:3] == ["layer", "size", "sparsity"]
    assert list(layers.columns)[3:] == ["achieved_sparsity", *NORMS]
    assert len(layers) == 6
    faces = pd.read_csv(tables / "faces.csv")
    at = rows[rows["sparsity"] == 0.4].set_index("image")["drift"]
    assert faces["image"].iloc[0] == at.idxmin()
    least = faces.loc[faces["end"] == "least stable", "image"]
    assert least.to_list()[0] == at.idxmax()
    assert faces["image"].is_unique


@pytest.mark.slow
def test_same_run_same_files(make_run):
    run = make_run(5, (0.1, 0.4))
    first = write_report(run)
    kept = {p: p.read_bytes() for p in first.parent.rglob("*") if p.is_file()}
    write_report(run)
    assert {p for p, old in kept.items() if p.read_bytes() != old} == set()


@pytest.mark.slow
@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("sparsities", [(0.0, 0.1, 0.4), (0.3,)])
def test_small_runs_and_sparsity_zero(make_run, images, sparsities):
    report = write_report(make_run(images, sparsities))
    assert _figures(report) == FIGURES
    assert "–" in report.read_text(encoding="utf-8") or images == 3


@pytest.mark.slow
def test_sparsity_zero_alone(make_run):
    report = write_report(make_run(4, (0.0,)))
    missing = {"drift_against_first_order", *GRIDS}
    assert _figures(report) == FIGURES - missing
    assert "No image moved above rounding" in report.read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
def test_unfinished_run_says_so(make_run):
    report = write_report(make_run(8, (0.1, 0.4), unfinished=3))
    assert "Unfinished: 5 of 8 images" in report.read_text(encoding="utf-8")


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.usefixtures("undrawn")
def test_a_damaged_picture_is_left_out(make_run, tmp_path):
    run = make_run(8, (0.4,))
    pictures = sorted((tmp_path / "run_pictures").iterdir())
    pictures[0].write_bytes(b"no image")
    text = write_report(run).read_text(encoding="utf-8")
    assert (
        f"Images of the grids that could not be opened: 1, {pictures[0].name}" in text
    )


@pytest.mark.slow
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


@pytest.mark.usefixtures("undrawn")
def test_manifest_needs_only_to_exist(make_run):
    run = make_run(4, (0.1, 0.4))
    (run / "run.json").write_text("{}")
    report = write_report(run)
    missing = {"layer_sparsity", *GRIDS}
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


@pytest.mark.usefixtures("undrawn")
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "name", ["report.html", "tables/statistics.csv", "figures/layer_sparsity.pdf"]
)
@pytest.mark.parametrize("ours_first", [True, False])
def test_files_of_the_user_in_the_report_stay(make_run, name, ours_first):
    run = make_run(4, (0.4,))
    if ours_first:
        write_report(run)
    mine = run / "report" / name
    for path in (mine, run / "report" / "notes.md", run / "report/tables/mine.csv"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=f"{name} is not from prefiqs, or was changed"):
        write_report(run)
    assert before == {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    mine.unlink()
    write_report(run)
    assert (run / "report" / "notes.md").read_text() == "mine"
    assert (run / "report/tables/mine.csv").read_text() == "mine"


@pytest.mark.usefixtures("undrawn")
def test_reports_in_odd_places(make_run, tmp_path):
    run = make_run(4, (0.4,))
    (run / "report").write_text("mine")
    with pytest.raises(InputError, match="report is no folder"):
        write_report(run)
    assert (run / "report").read_text() == "mine"
    (run / "report").unlink()
    (tmp_path / "there").mkdir()
    (run / "report").symlink_to(tmp_path / "there")
    write_report(run)
    assert (run / "report").is_symlink()
    assert (tmp_path / "there" / "report.html").exists()
    page = tmp_path / "there" / "report.html"
    page.chmod(0o600)
    (page.parent / "tables" / ".a.csv.host-1-0123abcd.partial").write_text("half")
    (page.parent / ".report.html.99.partial").write_text("half")
    write_report(run)
    assert page.stat().st_mode & 0o777 == 0o600
    assert not list(page.parent.rglob(".*.partial"))


def _replace_rows(run, change):
    rows = results.read(run)
    for part in run.glob("part-*"):
        part.unlink()
    change(rows).to_parquet(run / "part-000000.parquet")


@pytest.mark.usefixtures("undrawn")
def test_the_finding_leads_with_the_relative_residual(make_run):
    run = make_run(20, (0.1, 0.5), people=10)
    # Two vectors of one length at 22 degrees: a perfect norm, 38 % beside the point.
    turned = {"first_order": 0.2, "residual": 0.076, "cosine": 0.927}
    _replace_rows(run, lambda rows: rows.assign(drift=0.2, **turned))
    report = write_report(run)
    text = report.read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    finding = text.partition('<p class="finding">')[2].partition("</p>")[0]
    assert finding.startswith("<strong>Relative residual")
    assert "38 % at sparsity 0.1" in finding
    assert "within 10 % of the change itself at no sparsity" in finding
    assert "in norm (median error within 5 %) up to sparsity 0.5" in finding
    images = pd.read_csv(report.parent / "tables" / "images.csv")
    np.testing.assert_allclose(images["relative_residual"], 0.38)


@pytest.mark.slow
def test_a_mask_that_prunes_nothing_has_no_numbers(make_run):
    run = make_run(9, (0.1, 0.5), people=9)

    def empty(rows):
        at = rows["sparsity"] == 0.1
        rows.loc[at, ["achieved_sparsity", "first_order"]] = 0.0
        rows.loc[at, ["drift", "residual"]] = 2.6e-8
        rows.loc[~at, "achieved_sparsity"] = 0.25
        return rows

    _replace_rows(run, empty)
    report = write_report(run)
    text = report.read_text("utf-8")
    assert "Sparsity 0.1: nothing was pruned." in text
    line = text.partition('<th scope="row">0.1 (achieved 0)')[2].partition("</tr>")[0]
    assert "nothing was pruned" in line
    assert "100" not in line
    assert "0.5 (achieved 0.25)" in text
    finding = text.partition('<p class="finding">')[2].partition("</p>")[0]
    assert "sparsity 0.1" not in finding.partition("The first order holds")[0]
    table = pd.read_csv(report.parent / "tables" / "statistics.csv")
    empty_lines = table[table["sparsity"] == 0.1]
    assert pd.isna(empty_lines["value"]).all()
    assert set(empty_lines["below_rounding"]) == {9}
    faces = pd.read_csv(report.parent / "tables" / "faces.csv")
    assert set(faces["sparsity"]) == {0.5}


@pytest.mark.usefixtures("undrawn")
def test_a_run_in_which_nothing_moves_still_has_a_page(make_run):
    run = make_run(4, (0.1, 0.4), people=4)
    small = {"first_order": 0.0, "drift": 3e-8, "residual": 3e-8}
    _replace_rows(run, lambda rows: rows.assign(**small))
    report = write_report(run)
    assert "drift_against_first_order" not in _figures(report)
    text = report.read_text("utf-8")
    assert "All changes are rounding." in text
    assert '<p class="finding">' not in text


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("people", "says"),
    [
        (0, "By image, identities unknown: too narrow if several images show one"),
        (1, "1 person: no interval"),
        (2, "2 people: no interval"),
        (5, "5 people: with fewer than 8"),
        (12, None),
    ],
)
def test_intervals_not_to_be_trusted_are_said(make_run, people, says):
    text = write_report(make_run(24, (0.4,), people=people)).read_text("utf-8")
    warnings = re.findall(r'<p class="warning">(.*?)</p>', text)
    warnings = [each for each in warnings if "Unfinished" not in each]
    assert [each.startswith(says or "-") for each in warnings] == [True] * bool(says)


@pytest.mark.usefixtures("undrawn")
def test_strata_of_images_csv(make_run, tmp_path):
    run = make_run(24, (0.1, 0.4), people=12)
    names = sorted(path.name for path in (tmp_path / "run_pictures").iterdir())
    lines = [
        f"{name},{i % 2 * 0.5},{'no' if i < 9 else 'yes'}"
        for i, name in enumerate(names)
    ]
    table = tmp_path / "run_pictures" / "images.csv"
    table.write_text("\n".join(["file,severity,glasses", *lines]) + "\n")
    report = write_report(run)
    within = pd.read_csv(report.parent / "tables" / "strata.csv", dtype=str)
    assert list(within["stratum"].unique()) == ["0", "1/3 to 2/3"]
    assert "Rank: Spearman ρ</strong> by severity" in report.read_text("utf-8")
    report = write_report(run, strata=["glasses", "drift-quartile"])
    within = pd.read_csv(report.parent / "tables" / "strata.csv", dtype=str)
    assert list(within["strata"].unique()) == ["glasses", "drift-quartile"]
    assert set(within.loc[within["stratum"] == "no", "images"]) == {"9"}
    text = report.read_text("utf-8")
    assert "all (pooled)" in text
    assert "4 (most drift)" in text
    with pytest.raises(InputError, match="no column pose to stratify by"):
        write_report(run, strata=["pose"])
    table.write_text(table.read_text() + f"{names[0]},0.9,no\n")
    with pytest.raises(InputError, match=f"lists {names[0]} twice"):
        write_report(run)
    table.write_text("name\nx\n")
    with pytest.raises(InputError, match="no column named file"):
        write_report(run)


@pytest.mark.usefixtures("undrawn")
def test_norm_of_the_pruning_direction_is_tabled(make_run):
    run = make_run(6, (0.1, 0.4))
    manifest = json.loads((run / "run.json").read_text())
    manifest |= {"delta_norm": [0.3, 1.2], "delta_norm_relative": [0.0123, 0.4]}
    manifest["layers"][0] |= {"delta_norm": [0.1, 0.2], "delta_norm_relative": [0, 1]}
    (run / "run.json").write_text(json.dumps(manifest))
    report = write_report(run)
    table = pd.read_csv(report.parent / "tables" / "mask.csv")
    assert table["delta_norm"].tolist() == [0.3, 1.2]
    assert "<td>0.0123</td>" in report.read_text("utf-8")
    layers = pd.read_csv(report.parent / "tables" / "layers.csv")
    known = layers[layers["layer"] == manifest["layers"][0]["name"]]
    assert known["delta_norm"].tolist() == [0.1, 0.2]
    unknown = np.isnan(layers["delta_norm"].to_numpy(np.float64))
    assert unknown.sum() == len(layers) - 2


@pytest.mark.usefixtures("undrawn")
def test_faces_that_are_others_now_are_not_shown(make_run, tmp_path):
    run = make_run(8, (0.4,))
    folder = read_folder(tmp_path / "run_pictures")
    write_inventory(run, take_inventory(folder))
    name = folder.names[3]
    Image.new("RGB", (28, 28)).save(folder.root / name)
    text = write_report(run).read_text("utf-8")
    assert "whose content is no longer what was measured: 1, such as" in text
    assert name in text.partition("no longer what was measured")[2][:80]
