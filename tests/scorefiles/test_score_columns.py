"""Which column of a table the scores are: never another one because a cell is bad."""

import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.scorefiles import read_scores

DELIMITERS = {"commas": ",", "semicolons": ";", "tabs": "\t", "blanks": " "}
BAD_CELLS = ("None", "N/A", "87%", "[0.53]", "tensor(0.5)", "-", "bad", "")
NAMES = ("ann/1.png", "ann/2.png", "bob/1.png", "bob/2.png")


@pytest.fixture
def write(tmp_path):
    def writer(text, name="theirs"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return writer


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        read_scores(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message


def table(delimiter, header, bad, row=2):
    """A quality, of which one cell is bad, between columns of the row and the time."""
    lines = [delimiter.join(header)] if header else []
    for n, name in enumerate(NAMES):
        quality = bad if n == row else f"0.{n + 3}"
        if delimiter == " " and not quality:
            quality = '""'
        lines.append(delimiter.join([name, str(n), quality, f"{n + 11}.5"]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("bad", BAD_CELLS)
@pytest.mark.parametrize("called", ["quality", "Score", "quality-score"])
def test_a_bad_cell_of_a_named_quality(write, delimiter, bad, called):
    header = ("image", "row", called, "time")
    path = write(table(DELIMITERS[delimiter], header, bad))
    message = refused(path)
    shown = bad or "nothing"
    assert f"line 4: the score of bob/1.png is {shown}, no number; " in message
    assert refused(path, column=called) == message


@pytest.mark.parametrize("delimiter", ["commas", "semicolons", "tabs", "blanks"])
@pytest.mark.parametrize("bad", BAD_CELLS)
@pytest.mark.parametrize("row", range(4))
def test_a_bad_cell_of_a_quality_without_a_name(write, delimiter, bad, row):
    header = ("image", "row", "mine", "time")
    path = write(table(DELIMITERS[delimiter], header, bad, row))
    message = refused(path)
    assert "3 columns are meant to hold numbers, row, mine, time; choose one" in message
    assert message.endswith(f"; in line {row + 2}, mine is {bad or 'nothing'}")
    assert f"line {row + 2}: the score of {NAMES[row]} is" in refused(
        path, column="mine"
    )


@pytest.mark.parametrize("bad", [each for each in BAD_CELLS if each != "bad"])
@pytest.mark.parametrize("row", range(3))
@pytest.mark.parametrize("names", [NAMES, ["id7", "id8", "id9"]])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_bad_cell_without_a_header(write, bad, row, names, delimiter):
    cells = ["0.5", "0.6", "0.7"]
    cells[row] = bad
    rows = zip(names, cells, strict=False)
    path = write("".join(delimiter.join(each) + "\n" for each in rows))
    if bad or row or names is NAMES:  # "id7," may as well be a header
        assert f"line {row + 1}: the score of {names[row]} is " in refused(path)


def test_a_column_of_nothing_but_bad_cells(write):
    for bad in BAD_CELLS[:6]:
        path = write(f"image,mine,time\na.png,{bad},1.5\nb.png,{bad},1.7\n")
        assert "2 columns are meant to hold numbers, mine, time" in refused(path)
        only = write(f"image,person,mine\na.png,ann,{bad}\nb.png,bob,{bad}\n")
        assert "line 2: the score of a.png is" in refused(only)


@pytest.mark.slow
def test_the_first_bad_cell_may_come_late(write):
    rows = "".join(f"{n}.png,0.5,{n}\n" for n in range(30_000))
    path = write("image,mine,time\n" + rows + "x.png,None,7\n")
    assert "2 columns are meant to hold numbers, mine, time" in refused(path)
    assert "line 30002: the score of x.png is None" in refused(path, column="mine")


TAKEN = {
    "image,quality\na.png,0.5": "column quality (named so), images from column image",
    "image;time;QUALITY\na.png;7;0.5": "column QUALITY (named so), images from colum",
    "path,yaw,Quality Score\na.png,7,0.5": "column Quality Score (named so)",
    "face,mine\na.png,0.5": "column mine (the only one meant to hold numbers), "
    "images from column face",
    "who,face,mine\nann,a.png,0.5": "(the only one meant to hold numbers), images "
    "from column face",
    "a.png\t0.5\nb.png\t0.7": "column 2 (the only one meant to hold numbers), images "
    "from column 1",
    "0.5,a.png\n0.7,b.png": "scores from column 1 (the only one meant to hold numbers)",
    "a.png 0.5\nb.png 0.7": "scores from the last field of each line",
    "image quality time\na.png 0.5 7\nb.png 0.7 8": "column quality (named so)",
    "path score\na.png 0.5": "column score (named so)",
    "image,0.4\na.png,0.5": "column 0.4 (the only one meant to hold numbers)",
    "face,0.4\na.png,0.5": "column 0.4 (the only one meant to hold numbers)",
    "0,1\na.png,0.5\nb.png,0.7": "column 1 (the only one",
    ",0\nann,0.5\nbob,0.7": "column 0 (the only one",
    "image,quality\na.png,0.5,\nb.png,0.7,\n": "column quality (named so)",
}


@pytest.mark.parametrize("text", TAKEN)
def test_the_column_that_was_taken_is_said(write, text):
    path = write(text)
    scores = read_scores(path)
    (note,) = scores.notes
    assert note.startswith(f"{path}: scores from ")
    assert TAKEN[text] in note
    assert scores.values[0] == 0.5
    assert scores.names[0] in ("a.png", "ann")
    assert set(scores.values) <= {0.5, 0.7}  # the header is no row
    asked = scores.column and read_scores(path, column=scores.column)
    assert not asked or "(the one that was asked for)" in asked.notes[0]


def test_norms_of_embeddings_are_said(write):
    path = write("\n".join(f"{n}.png" + " 0.25" * 64 for n in range(5)))
    (note,) = read_scores(path).notes
    assert note == f"{path}: scores are the norms of the 64 last fields of each line"


REFUSED = {
    # Rows out of step with the header.
    "image,quality,time\na.png,0.5,7\nb.png,8\n": "line 3 has 2 cells, but there are 3",
    "image,quality\na.png,0,5\nb.png,0,7\n": "line 2 has 3 cells, but there are 2",
    "image,quality\n0,a.png,0.5\n": "line 2 has 3 cells, but there are 2 columns",
    "image;quality\na.png;0.5;7\n": "line 2 has 3 cells, but there are 2 columns",
    # Two columns of one name.
    "image,quality,quality\na.png,0.5,7\n": "2 columns are called quality; rename",
    "image,mine,mine\na.png,0.5,7\n": "2 columns are meant to hold numbers, mine, mine",
    # Decimal commas, thousands, signs.
    "a.png 0,53\nb.png 0,47\n": "line 1: the score of a.png is 0,53, no number; write "
    "numbers with a decimal point",
    "ann/1 0,53\nann/2 0,47\n": "write numbers with a decimal point",
    "image;quality\na.png;1,234.5\n": "the score of a.png is 1,234.5, no number; write "
    "plain numbers",
    'image,quality\na.png,"1,234.5"\n': "is 1,234.5, no number; write plain numbers",
    "image;quality\na.png;1 234\n": "is 1 234, no number; write plain numbers",
    "image;quality\na.png;1'234\n": "is 1'234, no number; write plain numbers",
    "image,quality\na.png,87 %\n": "is 87 %, no number; write plain numbers",
    "image,quality\na.png,0.5e\n": "is 0.5e, no number; write plain numbers",
    "image,quality\na.png,good\n": "is good, no number; correct or remove the line",
    # Several fields behind a path, of which nobody says which one it is.
    "a.png 0.5 7\nb.png 0.7 8\n": "2 columns are meant to hold numbers, 2, 3; choose",
    "a.png 0.5 7\nb.png None 8\n": "2 columns are meant to hold numbers, 2, 3; choose",
    "a.png,0.5,7\nb.png,0.7,8\n": "2 columns are meant to hold numbers, 2, 3; choose",
    "# made by us, in 2024\nimage,quality\na.png,0.5\n": "line 2",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_out_of_step_is_refused(write, text):
    assert REFUSED[text] in refused(write(text))


def test_a_bad_number_in_an_embedding(write):
    lines = [f"{n}.png" + " 0.25" * 64 for n in range(5)]
    for place in (0, 30, 63):
        fields = lines[3].split()
        fields[1 + place] = "None"
        message = refused(write("\n".join([*lines[:3], " ".join(fields), lines[4]])))
        assert "line 4, 3.png, does not end in 64 numbers as the first lines do " in (
            message
        )
        assert "(None is none)" in message


def test_a_path_with_blanks_is_no_table(write):
    scores = read_scores(write("/my faces/a.png 0.5\n/my faces/b.png 0.7\n"))
    assert scores.names == ("/my faces/a.png", "/my faces/b.png")
    np.testing.assert_array_equal(scores.values, [0.5, 0.7])


@pytest.mark.parametrize(
    "cell", ["0.5±0.1", "0.9 good", "5/10", "12:30", "True", "failed", "—", "#DIV/0!"]
)
def test_a_column_of_bad_cells_alone_may_have_been_meant(tmp_path, cell):
    path = tmp_path / "theirs.csv"
    rows = [f"{n}.png,{cell},{n}" for n in range(5)]
    path.write_text("\n".join(["image,confidence,time", *rows]) + "\n")
    with pytest.raises(InputError, match=r"2 columns are meant .*confidence.*time"):
        read_scores(path)
    path.write_text(path.read_text().replace(cell, "ann"))
    assert read_scores(path).values.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("mark", "sep"), [("sep=;", ";"), ("sep=,", ","), ("sep=\t", "\t")]
)
def test_excels_line_of_the_delimiter_is_passed_over(tmp_path, mark, sep):
    path = tmp_path / "scores.csv"
    rows = [["image", "quality"], ["a.png", "0.5"], ["b.png", "0.25"]]
    path.write_text("\n".join([mark, *(sep.join(row) for row in rows)]) + "\n")
    scores = read_scores(path)
    assert scores.names == ("a.png", "b.png")
    assert scores.values.tolist() == [0.5, 0.25]
