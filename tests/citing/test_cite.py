"""``prefiqs cite``: what runs used, from their folders and settings."""

import json
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest
import yaml

import prefiqs_jax
from prefiqs_jax.backbones.zoo import ARCHITECTURES
from prefiqs_jax.citing.index import every_reference, of_module
from prefiqs_jax.citing.used import (
    BENCHMARKS,
    COMPARED,
    EXTRAS,
    PROTOCOLS,
    STATISTICS,
    cited_in,
    network,
)
from prefiqs_jax.cli import main
from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import PROTOCOLS as KNOWN_PROTOCOLS

PROJECT = Path(__file__).parents[2]


def keys(text):
    return re.findall(r"^@\w+\{(\w+),", text, re.M)


def test_settings_of_a_sweep():
    settings = {
        "backbone": "sface",
        "mask": "erk/wanda",
        "sparsities": [0.4],
        "with": ["taylor2", "kinks"],
    }
    found = keys(prefiqs_jax.cite(settings, quiet=True))
    assert found[:4] == [
        "kolf2026prefiqs", "zhong2021sface", "evci2020rigging", "sun2024simple",
    ]  # fmt: skip
    assert {"griewank2008evaluating", "spearman1904proof"} <= set(found)
    assert len(set(found)) == len(found)
    assert "deng2019arcface" not in found


def test_a_folder_prints_and_gives_the_same(tmp_path, capsys):
    manifest = {
        "settings": {"backbone": "demo", "sparsities": [0.4], "mask": "global/random"},
        "masks": ["global/random", "2:4/magnitude"],
    }
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    text = prefiqs_jax.cite(tmp_path)
    assert capsys.readouterr().out == text
    assert {"mishra2021accelerating", "han2015learning"} <= set(keys(text))
    assert main(["cite", str(tmp_path)]) == 0
    assert capsys.readouterr().out == text


def test_an_evaluation(tmp_path):
    (tmp_path / "evaluation.json").write_text('{"format": 1}\n')
    (tmp_path / "tables").mkdir()
    areas = pd.DataFrame(
        {
            "benchmark": ["lfw", "mine"],
            "kind": ["bin", "folder"],
            "verifier": ["adaface_ir101", "mine.py:net"],
            "scorer": "arcface_iresnet100",
            "quality": ["grafiqs/image", "prefiqs/0.4"],
            "protocol": "proportional",
            "interval": ["jackknife", "none"],
        }
    )
    areas.to_csv(tmp_path / "tables" / "areas.csv", index=False)
    for benchmark in ("lfw", "mine"):
        measured = tmp_path / "measured" / benchmark / "net"
        measured.mkdir(parents=True)
        (measured / "run.json").write_text('{"settings": {"mask": "lamp/snip"}}')
    text = prefiqs_jax.cite(tmp_path, quiet=True)
    assert {
        "kolf2026prefiqs", "kolf2024grafiqs", "kim2022adaface", "deng2019arcface",
        "duta2021improved", "huang2007labeled", "grother2007performance",
        "boutros2023crfiqa", "wani2026beyond", "hothorn2008simultaneous",
    } <= set(keys(text))  # fmt: skip
    assert "meng2021magface" not in keys(text)
    assert text.count("% mask lamp/snip: lee2021layer, lee2019snip") == 1
    assert text.endswith("% without a reference here: network mine.py:net\n")


def test_what_is_no_run_is_refused(tmp_path, capsys):
    assert main(["cite", str(tmp_path)]) == 2
    assert "is not a run" in capsys.readouterr().err
    with pytest.raises(InputError, match="tell of no backbone"):
        prefiqs_jax.cite({"mask": "global/magnitude"})
    (tmp_path / "evaluation.json").write_text('{"format": 1}\n')
    assert main(["cite", str(tmp_path)]) == 2
    assert "run prefiqs edc to its end" in capsys.readouterr().err


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_network_has_a_reference(name):
    assert network(name)


def test_networks_are_those_of_their_project():
    assert [one.key for one in network("magface_iresnet100")] == [
        "duta2021improved", "meng2021magface",
    ]  # fmt: skip
    assert "hu2018squeeze" in [one.key for one in network("elasticface_iresnet_se50")]


def test_lists_of_modules_and_citations_are_true():
    modules = [f"statistics.{name}" for name in STATISTICS]
    for module in (*modules, *COMPARED, *EXTRAS.values()):
        assert of_module(module), module
    for source in (*PROTOCOLS.values(), *BENCHMARKS.values()):
        assert cited_in(source), source
    assert set(PROTOCOLS) == set(KNOWN_PROTOCOLS)


def test_the_paper_is_whole():
    (paper,) = (one for one in every_reference() if one.key == "kolf2026prefiqs")
    assert paper.arxiv == "2605.13396"
    assert paper.venue == "CVPRW"
    assert len(paper.authors) == 7
    cff = read_cff()["references"][0]
    assert [each["family-names"] for each in cff["authors"]] == list(paper.authors)
    assert cff["title"].lower() == paper.title.lower()


def read_cff():
    return yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))


def test_citation_file_is_that_of_the_project():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    cff = read_cff()
    assert cff["cff-version"] == "1.2.0"
    assert cff["version"] == prefiqs_jax.__version__
    assert cff["authors"] == project["authors"]
    for field in ("title", "license", "keywords"):
        own = project["name" if field == "title" else field]
        assert cff[field] == own, field
    assert " ".join(cff["abstract"].split()) == project["description"]
    assert cff["type"] == "software"
    assert cff["message"]
