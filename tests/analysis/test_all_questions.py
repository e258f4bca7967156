"""All questions by one command: which runs each is asked of, and the page."""

import pytest


@pytest.fixture(scope="module")
def run(script):
    return script("all_questions")


@pytest.mark.slow
def test_each_question_takes_what_can_answer_it(run, toy_run, tmp_path):
    runs = toy_run.parent
    found = dict(run.asked_of(runs))
    assert tuple(found) == run.QUESTIONS
    others = run.QUESTIONS[len(run.OF_RUNS) :]
    assert all(found[name] == [toy_run] for name in run.OF_RUNS)
    assert all(found[name] == [] for name in others)


def test_evaluations_and_runs_of_their_own_folder(run, tmp_path):
    for name, text in (
        ("one/evaluation.json", "{}"),
        ("one/measured/faces/a/run.json", '{"settings": {"scores": ["norm"]}}'),
        ("one/measured/faces/b/run.json", '{"settings": {"scores": []}}'),
        ("two/evaluation.json", "{}"),
        ("two/measured/faces/a/run.json", '{"settings": {"scores": ["norm"]}}'),
        ("two/measured/faces/b/run.json", '{"settings": {"scores": ["norm"]}}'),
        ("precisions/a/run.json", "{}"),
        ("mask_ablation/b/run.json", "{}"),
        ("paths/c/paths_images.csv", ""),
        ("alignment_study/d/alignment_study.csv", ""),
        ("label_optimisation/d/label_optimisation.csv", ""),
        ("expected_drift/d/expected_drift.csv", ""),
        ("recognition/e/tables/pruned_verification.csv", ""),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = dict(run.asked_of(tmp_path))
    assert found["sparsity_choice"] == [tmp_path / "one", tmp_path / "two"]
    assert found["transfer"] == [tmp_path / "two"]
    assert found["precisions"] == [tmp_path / "precisions/a"]
    assert found["mask_ablation"] == [tmp_path / "mask_ablation/b"]
    assert found["paths"] == [tmp_path / "paths/c"]
    for name in ("alignment_study", "label_optimisation", "expected_drift"):
        assert found[name] == [tmp_path / name / "d"]
    assert found["recognition"] == [tmp_path / "recognition/e"]
    assert found["controls"] == []


@pytest.mark.slow
def test_the_page_has_a_section_for_each_answer(run, toy_run, tmp_path, capsys):
    page = tmp_path / "findings.md"
    words = [str(toy_run.parent), "--out", str(tmp_path), "--findings", str(page)]
    assert run.main(words) == 0
    told = capsys.readouterr().out
    assert "paths: left out, as no run has what it needs" in told
    assert "controls: toy" in told
    text = page.read_text()
    assert text.count("\n## ") == len(run.OF_RUNS)
    for name in run.OF_RUNS:
        assert (tmp_path / name / f"{name}.csv").exists()
        assert f"(findings/{name}.png)" in text


def test_nothing_to_ask(run, tmp_path, capsys):
    for folder, told in (
        (tmp_path, "holds no run to ask"),
        (tmp_path / "none", "there is no folder"),
    ):
        words = [str(folder), "--out", str(tmp_path / "out")]
        assert run.main(words) == 2
        assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
