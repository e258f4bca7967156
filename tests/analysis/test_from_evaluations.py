"""Evaluations that were kept: what is read of them gives the areas that they say."""

import shutil

import numpy as np
import pandas as pd
import pytest
from simulated_run import one

from prefiqs_jax.errors import InputError


@pytest.fixture(scope="module")
def ours(script):
    return script("from_evaluations")


@pytest.mark.slow
def test_areas_are_those_of_the_evaluation(ours, toy_evaluation):
    found = ours.open_evaluations([toy_evaluation], ["prefiqs"])
    assert [each.run for each in found] == ["toys/faces/toy0", "toys/faces/toy1"]
    areas = pd.read_csv(toy_evaluation / "tables/areas.csv")
    for each in found:
        told = areas[(areas["verifier"] == each.verifier) & areas["tells"]]
        assert each.setting.fmr == told["fmr"].max()
        assert len(each.measured.rows) == 48
        assert set(each.people) == {f"{person:02d}" for person in range(6)}
        for scorer in ("toy0", each.verifier):
            found = each.areas(each.scores[scorer])[:, 0]
            for name, value in zip(each.scores[scorer], found, strict=True):
                line = one(told, fmr=each.setting.fmr, scorer=scorer, quality=name)
                assert value == pytest.approx(line["pauc"])
                assert line["errors"] == each.setting.errors


def test_a_replicate_is_without_one_person(ours, verified):
    each, noise, _ = verified
    quality = {"known": -noise, "other": noise}
    found = each.areas(quality)
    assert found.shape == (2, 11)
    chosen = np.ones(40, bool)
    chosen[8:12] = False  # the third person
    np.testing.assert_allclose(found[:, 3], each.areas(quality, chosen)[:, 0])
    assert (found[0] < found[1]).all()
    weights = each.levels()["all"].weights
    np.testing.assert_array_equal(weights[3] > 0, chosen)


@pytest.mark.slow
def test_what_cannot_be_asked(ours, toy_evaluation, tmp_path, capsys):
    with pytest.raises(InputError, match="is no finished evaluation"):
        ours.open_evaluations([tmp_path], ())
    with pytest.raises(InputError, match="two evaluations have one name"):
        ours.open_evaluations([toy_evaluation, toy_evaluation], ())
    with pytest.raises(InputError, match="lacks grafiqs"):
        ours.open_evaluations([toy_evaluation], ["grafiqs"])
    copy = shutil.copytree(toy_evaluation, tmp_path / "copy")
    areas = copy / "tables/areas.csv"
    areas.write_text(areas.read_text().replace("True", "False"))
    with pytest.raises(InputError, match="with enough errors"):
        ours.open_evaluations([copy], ())
    assert "copy/faces/toy0: left out, as it has too few" in capsys.readouterr().err
    (copy / "measured/faces/images.csv").unlink()
    with pytest.raises(InputError, match="no benchmark of all pairs"):
        ours.open_evaluations([copy], ())
    assert "has no images.csv; if these are all" in capsys.readouterr().err
    areas.write_text("benchmark\nx\n")
    with pytest.raises(InputError, match=r"areas\.csv cannot be read"):
        ours.open_evaluations([copy], ())
