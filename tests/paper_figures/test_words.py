"""Tables in words: best in bold, intervals, arrows, and what TeX would misread."""

import numpy as np
import pytest

from paper_figures.record import Column, Table
from paper_figures.words import escape, frame, latex, markdown


@pytest.fixture
def table():
    area = Column(
        "lfw_100",
        np.array([10.0694, 9.8561, np.nan, 9.8559]),
        np.array([9.0, 8.5, np.nan, np.nan]),
        np.array([11.0, 10.25, np.nan, np.nan]),
        "lower",
    )
    rank = Column("ρ", np.array([0.5, 0.25, 0.75, 0.9]), better="higher", digits=2)
    plain = Column("images", np.array([3.0, 4.0, 5.0, 6.0]), digits=0)
    labels = [("PreFIQs",), ("a|b_c",), ("norm",), ("severity",)]
    return Table(
        "table_x", "50 % & more", ("quality",), labels, [area, rank, plain],
        unranked=frozenset({3}),
    )  # fmt: skip


def test_markdown(table):
    assert markdown(table).splitlines() == [
        "| quality | lfw_100 ↓ | ρ ↑ | images |",
        "|---|--:|--:|--:|",
        "| PreFIQs | 10.069 [9.000, 11.000] | 0.50 | 3 |",
        r"| a\|b_c | **9.856** [8.500, 10.250] | 0.25 | 4 |",
        "| norm | – | **0.75** | 5 |",
        "| severity | 9.856 | 0.90 | 6 |",
    ]


def test_latex(table):
    lines = latex(table).splitlines()
    assert r"\caption{50 \% \& more}" in lines
    assert r"quality & lfw\_100 $\downarrow$ & $\rho$ $\uparrow$ & images \\" in lines
    assert r"PreFIQs & 10.069 & 0.50 & 3 \\" in lines
    at = lines.index(r"a\textbar{}b\_c & \textbf{9.856} & 0.25 & 4 \\")
    assert lines[at + 1] == r" & {\scriptsize [8.500, 10.250]} &  &  \\[2pt]"
    assert r"norm & -- & \textbf{0.75} & 5 \\" in lines
    assert lines[-1] == r"\end{table*}"
    text = latex(table)
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_ties_as_printed_are_all_best():
    values = np.array([0.12341, 0.12339, 0.2])
    column = Column("x", values, better="lower")
    table = Table("t", "", ("row",), [("a",), ("b",), ("c",)], [column])
    assert table.best(column).tolist() == [True, True, False]
    assert values[0] == 0.12341  # what is given stays
    lone = Column("x", np.array([0.1, np.nan, np.nan]), better="lower")
    assert not table.best(lone).any()


def test_csv_has_every_digit(table):
    found = frame(table)
    assert list(found) == [
        "quality", "lfw_100", "lfw_100 low", "lfw_100 high", "ρ", "images",
    ]  # fmt: skip
    assert found["lfw_100"].tolist()[0] == 10.0694


def test_every_sign_of_tex_is_escaped():
    assert escape(r"\&%$#_{}~^") == (
        r"\textbackslash{}\&\%\$\#\_\{\}\textasciitilde{}\textasciicircum{}"
    )
