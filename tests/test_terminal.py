"""Lines and bars for whatever standard error and output are."""

import io
import sys

import pytest

from prefiqs_jax import terminal
from prefiqs_jax.errors import InputError, printable


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "a\rb", "a\nb", "\u202egnp", "\x9b1m", "\0"]
)
def test_what_a_terminal_would_obey_is_escaped(text, capsys):
    terminal.say(f"note: {text}")
    terminal.show(f"from {text}")
    captured = capsys.readouterr()
    for line in (captured.err, captured.out):
        assert line.removesuffix("\n").isprintable()
        assert "\\" in line
    assert str(InputError(text)).isprintable()
    assert printable("Zoë × 0.5 ψ 山") == "Zoë × 0.5 ψ 山"


def test_a_log_gets_lines(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    monkeypatch.setattr(terminal, "SECONDS", 0)
    with terminal.progress_bar(3, what="embedding") as bar:
        bar.update()
        terminal.say("note")
        bar.update(2)
    text = log.getvalue()
    assert "\r" not in text
    lines = text.splitlines()
    assert all(lines)
    assert lines[0].startswith("embedding:   0% 0/3 [")
    assert "note" in lines
    assert lines[-1].startswith("embedding: 100% 3/3 [")


def test_lines_come_now_and_then(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with terminal.progress_bar(10_000) as bar:
        for _ in range(10_000):
            bar.update()
    assert len(log.getvalue().splitlines()) == 2  # the first and the last


def test_what_is_quick_or_quiet_says_nothing(monkeypatch):
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with terminal.progress_bar(3, delay=60) as bar:
        bar.update(3)
    with terminal.progress_bar(3, progress=False) as bar:
        bar.update(3)
    assert log.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_bar(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with terminal.progress_bar(3) as bar:
        bar.update(3)
        terminal.say("note")
    assert "\r" in screen.getvalue()
    assert "note\n" in screen.getvalue()


def test_a_log_that_is_full_ends_nothing(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        terminal.say("note")
        with terminal.progress_bar(3) as bar:
            bar.update(3)


def test_a_result_that_nobody_gets_is_told(monkeypatch):
    for write in (terminal.show, terminal.emit):
        with open("/dev/full", "w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            with pytest.raises(InputError, match=r"standard output .* No space left"):
                write("scores")
