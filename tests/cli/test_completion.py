"""Shell completion: the script of each shell, and what bash completes with it."""

import builtins
import shutil
import subprocess

import pytest

from prefiqs_jax.cli import main
from prefiqs_jax.cli.completion import SHELLS

pytest.importorskip("shtab")


@pytest.fixture
def script(tmp_path, capsys):
    """Write the script of a shell; give its path."""

    def write(shell):
        with pytest.raises(SystemExit, match="0"):
            main(["--print-completion", shell])
        path = tmp_path / f"prefiqs.{shell}"
        path.write_text(capsys.readouterr().out)
        return path

    return write


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_sound(shell, script):
    path = script(shell)
    text = path.read_text()
    for word in ("compare-masks", "--sparsities", "crfiqa"):
        assert word in text
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed: its syntax is not checked")
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def complete(script, folder, *words):
    """Give what bash offers for the last of some words."""
    line = f"""
        source '{script}'
        COMP_WORDS=(prefiqs {" ".join(f"'{word}'" for word in words)})
        COMP_CWORD={len(words)}
        $(complete -p prefiqs | sed 's/.*-F \\([^ ]*\\).*/\\1/') prefiqs
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, cwd=folder, check=True
    )
    return {word.strip() for word in done.stdout.splitlines()}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes(script, tmp_path):
    path = script("bash")
    (tmp_path / "some_run").mkdir()
    (tmp_path / "some_weights.onnx").touch()
    assert complete(path, tmp_path, "sw") == {"sweep"}
    assert complete(path, tmp_path, "edc", "--proto") == {"--protocol"}
    assert {"crfiqa", "fiqat"} <= complete(path, tmp_path, "edc", "--protocol", "")
    assert complete(path, tmp_path, "report", "so") == {"some_run"}
    assert {"some_weights.onnx"} <= complete(path, tmp_path, "sweep", "--weights", "so")


def test_without_shtab_it_is_one_line(monkeypatch, capsys):
    real = builtins.__import__

    def absent(name, *rest):
        if name == "shtab":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert main(["--print-completion", "bash"]) == 2
    assert "pip install 'prefiqs-jax[completion]'" in capsys.readouterr().err
