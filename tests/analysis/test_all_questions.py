"""All questions by one command: which runs each is asked of, and the page."""

import pytest


@pytest.fixture(scope="module")
def run(script):
    return script("all_questions")


@pytest.mark.slow
def test_each_question_takes_what_can_answer_it(run, toy_run, tmp_path):
    runs = toy_run.parent
    found = dict(run.asked_of(runs))
    assert list(found) == [*run.OF_RUNS, *run.OF_IMAGES, "mask_ablation"]
    assert all(found[name] == [toy_run] for name in run.OF_RUNS)
    assert all(found[name] == [] for name in (*run.OF_IMAGES, "mask_ablation"))


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
