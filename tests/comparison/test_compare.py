"""A comparison of masks on the toy network, from images to page."""

import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import toy_backbone

from prefiqs_jax import results, sweep_arrays
from prefiqs_jax.benchmarks import degraded_folder
from prefiqs_jax.comparison import compare, mask_areas
from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import all_pairs, edc, pair_quality, pauc
from prefiqs_jax.images import read_folder
from prefiqs_jax.masks import masks_listed
from prefiqs_jax.report import write_report
from prefiqs_jax.statistics import compare_masks
from prefiqs_jax.sweep import SweepOptions, batches

pytestmark = pytest.mark.slow

MASKS = "global/magnitude,layerwise/magnitude,2:4/magnitude,global/random"
SPARSITIES = [0.2, 0.5]


@pytest.fixture
def backbone():
    return toy_backbone()


@pytest.fixture
def faces(tmp_path):
    rng = np.random.default_rng(5)
    for index in range(12):
        path = tmp_path / "faces" / f"person{index % 4}" / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return read_folder(tmp_path / "faces")


@pytest.fixture
def run(backbone, faces, tmp_path, request):
    """Compare masks on the toy images, without figures unless they are to be drawn.

    Gives the folder of the comparison.
    """

    def make(out="run", *, masks=MASKS, folder=faces, draw=False, **options):
        if not draw:
            request.getfixturevalue("undrawn")
        reference = options.pop("reference", None)
        page = compare(
            backbone,
            folder,
            masks_listed(masks),
            SPARSITIES,
            tmp_path / out,
            reference=reference,
            options=SweepOptions(**({"batch_size": 8, "progress": False} | options)),
        )
        assert page == tmp_path / out / "comparison/comparison.html"
        return page.parent

    return make


def table(folder, name):
    return pd.read_csv(folder / f"tables/{name}.csv")


def test_from_images_to_page(run, faces, backbone, tmp_path):
    folder, _, _ = degraded_folder(faces, 1, seed=0)
    made = run(folder=folder, draw=True)
    page = (made / "comparison.html").read_text()
    rows = results.read(tmp_path / "run")
    manifest = results.read_manifest(tmp_path / "run")
    # 2:4 has one sparsity, and what it does not reach is recorded and told.
    assert len(rows) == 24 * 7
    left_out = manifest["settings"]["unreachable_sparsities"]
    assert left_out == {"2:4/magnitude": [0.2]}
    assert "2:4/magnitude: 0.2." in page
    # The same from Python, on the rows as a DataFrame.
    known = results.with_image_columns(rows, faces.root)
    norms = dict(
        zip(
            zip(manifest["masks"], manifest["settings"]["sparsities"], strict=True),
            manifest["delta_norm_relative"],
            strict=True,
        )
    )
    found = compare_masks(known, delta_norms=norms)
    for name in ("ranked", "differences", "matched", "separation"):
        own = getattr(found, name)
        if name == "ranked":
            own = own.assign(rank=own["rank"].astype(float))
        written = table(made, name).reindex(columns=own.columns)
        pd.testing.assert_frame_equal(
            written, own, check_dtype=False, rtol=1e-8, atol=1e-8
        )
    assert len(found.masks) == 7
    assert set(found.separation["severity"]) >= {"all"}
    # What a mask takes of each layer adds up to the whole.
    layers = table(made, "layers")
    sizes = sum(layers.drop_duplicates("layer")["size"].tolist())
    for line in table(made, "masks").to_dict("records"):
        its = (layers["mask"] == line["mask"]) & (
            layers["sparsity"] == line["sparsity"]
        )
        lost = layers.loc[its, "achieved_sparsity"] @ layers.loc[its, "size"]
        assert lost / sizes == pytest.approx(line["achieved_sparsity"])
    assert len(table(made, "overlap")) == 3 + 6
    worst = table(made, "worst")
    assert worst["mask"].value_counts().tolist() == [6, 6, 6, 6]
    assert not any("~" in name for name in worst["image"])  # clean images only
    figures = {path.stem for path in (made / "figures").glob("*.png")}
    assert figures == {
        "agreement_against_mean_drift",
        "agreement_against_delta_norm_relative",
        "separation_against_mean_drift",
        "pauc_against_mean_drift",
        "layers_0.2",
        "layers_0.5",
        "overlap_0.2",
        "overlap_0.5",
        "worst_faces",
    }
    for figure in figures:
        assert f'id="{figure}"' in page
    words = re.sub(r"base64,[^\"]*", "", page.partition("<script>")[0])
    words = words.replace("<p>None.</p>", "")
    assert not re.search(r"\b(?:nan|None|NaN|inf)\b", words)
    with pytest.raises(InputError, match=r"compares several masks; .*compare-masks"):
        write_report(tmp_path / "run")


def test_an_interrupted_comparison_goes_on(run, tmp_path, monkeypatch):
    masks = "global/magnitude,2:4/magnitude"
    whole = run("whole", masks=masks)
    write, written = batches.write_table, []

    def once(*arguments):
        if written:
            raise KeyboardInterrupt
        written.append(arguments)
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(batches, "write_table", once)
        with pytest.raises(KeyboardInterrupt):
            run("cut", masks=masks)
    cut = tmp_path / "cut"
    assert not (cut / "comparison").exists()
    parts = sorted(path.name for path in cut.glob("rows/part-*"))
    assert parts == ["part-000000.parquet"]
    before = (cut / "rows" / parts[0]).stat().st_mtime_ns
    again = run("cut", masks=masks)
    assert (cut / "rows" / parts[0]).stat().st_mtime_ns == before
    for path in (whole / "tables").iterdir():
        assert path.read_bytes() == (again / "tables" / path.name).read_bytes()
    # Once more, and it only writes the page again; other masks are another run.
    run("cut", masks=masks)
    with pytest.raises(InputError, match="cut was made with mask"):
        run("cut", masks="global/magnitude,global/random")
    # A page of the user's own is kept.
    (again / "comparison.html").write_text("mine")
    with pytest.raises(InputError, match=r"comparison\.html is not from prefiqs"):
        run("cut", masks=masks)
    assert (again / "comparison.html").read_text() == "mine"


def test_without_identities_or_degraded_copies(run, faces):
    unknown = read_folder(faces.root, 0)
    made = run(folder=unknown)
    page = (made / "comparison.html").read_text()
    assert "no pAUC: not everybody&#39;s identity is known." in page
    assert not (made / "figures/pauc_against_mean_drift.png").exists()
    assert not (made / "figures/separation_against_mean_drift.png").exists()
    assert len(table(made, "areas")) == 0
    assert set(table(made, "masks")["resampled_by"]) == {"image"}


def test_a_layer_that_loses_all_is_named(run, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def first(name, weights):\n    return abs(weights) - 100 * ('conv1' in name)\n"
    )
    made = run(masks=f"global/magnitude,global/{tmp_path / 'mine.py'}:first")
    page = " ".join((made / "comparison.html").read_text().split())
    assert "mine.py:first at sparsity 0.5: conv1/kernel" in page
    assert "global/magnitude at sparsity" not in page


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"masks": "erk/snip"}, "two masks or more, and here is 1: erk/snip; give"),
        ({"masks": ""}, "two masks or more, and here is 0; give"),
        ({"reference": "erk/snip"}, "reference erk/snip is none of the masks"),
        ({"masks": "global/magnitude,1:4/magnitude"}, "1:4 cannot reach sparsity 0.2"),
        ({"masks": "global/magnitude,2:4/magnitude@0.3"}, "2:4 cannot reach .* 0.3"),
    ],
)
def test_what_cannot_be_compared(run, tmp_path, options, told):
    with pytest.raises(InputError, match=told):
        run(**options)
    assert not (tmp_path / "run").exists()


def test_sparsities_of_its_own(run, tmp_path):
    run(masks="global/magnitude,erk/magnitude@0.3+0.7")
    rows = results.read(tmp_path / "run")
    own = rows.groupby("mask")["sparsity"].unique().map(list).to_dict()
    assert own == {"global/magnitude": [0.2, 0.5], "erk/magnitude": [0.3, 0.7]}


def test_arrays_in_memory(backbone, faces):
    """The same comparison without a folder: a DataFrame of rows is enough."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 8, 8, 3), np.uint8)
    masks = masks_listed("global/magnitude,2:4/magnitude@0.5")
    rows = sweep_arrays(backbone, images, masks, SPARSITIES)
    found = compare_masks(rows)
    points = found.masks[["mask", "sparsity"]].values.tolist()
    assert points == [
        ["global/magnitude", 0.2],
        ["global/magnitude", 0.5],
        ["2:4/magnitude", 0.5],
    ]
    assert len(found.differences) == 4


def people_rows(people=30, each=6, seed=0):
    """Make rows and embeddings of people whose noise one of two masks knows."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    noise = rng.uniform(0.1, 0.8, len(who))
    center = rng.standard_normal((people, 16))[who]
    embeddings = center + noise[:, None] * rng.standard_normal((len(who), 16))
    names = [f"{i}.png" for i in range(len(who))]
    parts = []
    for mask, drift in (("random", rng.random(len(who))), ("knows", noise / 4)):
        parts.append(
            pd.DataFrame(
                {
                    "backbone": "toy",
                    "mask": mask,
                    "image": names,
                    "identity": [f"p{i}" for i in who],
                    "sparsity": 0.5,
                    "first_order": drift,
                    "drift": drift,
                    "residual": drift / 10,
                    "quality": 1 - drift / 2,
                }
            )
        )
    return pd.concat(parts), dict(zip(names, embeddings, strict=True))


def test_areas_against_the_curves_themselves():
    rows, embeddings = people_rows()
    found = mask_areas(rows, embeddings)
    people = rows["identity"].iloc[: len(embeddings)].tolist()
    pairs = all_pairs(np.stack(list(embeddings.values())), people)
    areas = found.table.set_index("mask")
    for mask, part in rows.groupby("mask"):
        quality = pair_quality(part["quality"].to_numpy(), pairs)
        # The quality of a comparison is that of an image, so several tie at a cut.
        with pytest.warns(RuntimeWarning, match="tie in quality"):
            curve = edc(pairs.similarity, pairs.mated, quality, fmr=1e-3)
        area = pauc(curve, max_discard=0.3)
        assert areas.loc[mask, "pauc"] == pytest.approx(area)
    assert found.note == ""
    assert areas["tells"].tolist() == [True, True]
    knows = areas.loc["knows"]
    assert knows["change"] == pytest.approx(knows["pauc"] - areas.loc["random", "pauc"])
    assert knows["low"] < knows["change"] < knows["high"] < 0
    assert knows["differs"]


def test_copies_are_not_compared_with_their_original():
    rows, embeddings = people_rows(each=2)
    twins = rows["image"].str.replace(
        r"(\d+)", lambda m: str(int(m[1]) // 2), regex=True
    )
    found = mask_areas(rows.assign(copy_of=twins), embeddings)
    assert found.note == "no pAUC: nobody has two images, beside degraded copies"
    assert len(found.table) == 0


def test_no_errors_tell_nothing():
    rows, embeddings = people_rows()
    rng = np.random.default_rng(0)
    one = {
        name: np.eye(30)[i // 6] + 0.01 * rng.standard_normal(30)
        for i, name in enumerate(embeddings)
    }
    found = mask_areas(rows, one)
    assert "pAUC cannot tell: 0 of 450 mated comparisons fail" in found.note
    assert found.table["tells"].tolist() == [False, False]
    assert np.isnan(found.table["low"].to_numpy(float)).all()


def test_masks_made_from_the_images_compared_are_told(run, faces):
    told = "In-sample: global/wanda were calibrated on 12 of the images compared"
    masks = "global/magnitude,global/wanda"
    assert told in (run(masks=masks) / "comparison.html").read_text()
    others = run("others", masks=masks, calibration=faces.take(range(4)))
    assert "In-sample" not in (others / "comparison.html").read_text()
