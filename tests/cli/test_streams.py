"""The command in a pipe, a log, a container, and under Ctrl-C."""

import os
import subprocess
import sys
import textwrap
from typing import Any

import jax
import pytest
from cli.own_network import write_faces, write_network

from prefiqs_jax import __version__
from prefiqs_jax.cli import main

PREFIQS = [sys.executable, "-m", "prefiqs_jax"]


def run(*words, **settings: Any) -> Any:
    settings = {"capture_output": True, "text": True} | settings
    return subprocess.run([*PREFIQS, *words], check=False, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("word", ["backbones", "masks", "--help"])
def test_a_reader_that_goes_away(word):
    command = [*PREFIQS, word]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as child:
        assert child.stdout
        child.stdout.close()
        assert child.stderr
        error = child.stderr.read()
    assert error == b""
    assert child.returncode == 141


@pytest.mark.slow
@pytest.mark.parametrize("word", ["masks", "--version"])
def test_a_full_disk(word):
    with open("/dev/full", "w") as full:
        ended = run(word, stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert ended.returncode == 2
    assert ended.stderr == (
        "prefiqs: standard output cannot be written: No space left on device\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "cp1251", "cp437"])
def test_consoles_of_other_encodings(encoding):
    code = "import sys; from prefiqs_jax.cli import main; sys.exit("
    code += "main(['masks']) or main(['masks', 'global/contribution'])"
    code += " or main(['backbones']))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.decode(encoding)


@pytest.mark.slow
def test_closed_streams():
    command = " ".join(PREFIQS)
    ended = subprocess.run(f"{command} masks none/such >&- 2>&-", shell=True)
    assert ended.returncode == 2


NOBODY = """
    import os, pwd, sys

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    pwd.getpwuid = unknown
    from prefiqs_jax.cli import main
    sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("cache", [{}, {"PREFIQS_CACHE": "{file}/cache"}])
def test_nobody_without_a_home(tmp_path, cache):
    """A container that runs as a number has no home, and maybe nothing to write to."""
    write_faces(tmp_path / "faces", ["a.png"])
    (tmp_path / "file").touch()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "XDG_CACHE_HOME", "PREFIQS_CACHE", "MPLCONFIGDIR")
    }
    environment |= {k: v.format(file=tmp_path / "file") for k, v in cache.items()}
    # Each program would be kept, however soon it is compiled.
    environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    words = ["score", "--backbone", write_network(tmp_path), "--out", "-"]
    words += ["--images", str(tmp_path / "faces")]
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(NOBODY), *words],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0, ended.stderr
    header, line = ended.stdout.splitlines()
    assert header == "image,quality,drift"
    assert line.startswith("a.png,")


def test_names_of_options_are_whole(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(
            [
                "score",
                "--backbone",
                "demo",
                "--images",
                "x",
                "--out",
                "y",
                "--weigh",
                "z",
            ]
        )
    assert "--weigh z" in capsys.readouterr().err


def test_versions(capsys):
    for word in ("-V", "--version"):
        with pytest.raises(SystemExit, match="0"):
            main([word])
        prefiqs, jaxes, devices, cache = capsys.readouterr().out.splitlines()
        assert prefiqs == f"prefiqs {__version__}"
        assert jaxes.startswith(f"jax {jax.__version__}, jaxlib ")
        kind = jax.devices()[0].device_kind
        assert devices.startswith(f"devices: {len(jax.devices())} × {kind} (")
        assert cache.startswith("compilation cache: ")


INTERRUPTED = """
    import signal, sys, time
    from prefiqs_jax.cli import interrupts, main

    def swallowed(options):
        class Late:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)
        Late()
        time.sleep(60)

    def other_error(options):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise RuntimeError("INTERNAL: callback") from error

    def plain(options):
        signal.raise_signal(signal.SIGINT)

    from prefiqs_jax.cli import report
    report._report = globals()[sys.argv[1]]
    sys.exit(main(["report", "run"]))
"""


@pytest.mark.parametrize("how", ["plain", "swallowed", "other_error"])
def test_ctrl_c_ends_a_command(how):
    code = textwrap.dedent(INTERRUPTED)
    ended = subprocess.run(
        [sys.executable, "-c", code, how], capture_output=True, text=True, timeout=50
    )
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "prefiqs: interrupted" in ended.stderr


def test_ctrl_c_that_is_ignored_stays_so():
    code = textwrap.dedent(INTERRUPTED)
    ignoring = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    ended = subprocess.run(
        [*ignoring, sys.executable, "-c", code, "plain"], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    "words",
    [
        "sweep --backbone demo --images none --out",
        "compare-masks --backbone demo --images none --masks a,b --out",
        "edc --backbone demo --benchmark none --out",
        "demo --out",
        "bench --out",
        "align none",
    ],
)
def test_standard_output_is_no_folder(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([*words.split(), "-"])
    assert "holds no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "sweep --backbone demo --images none --out",
        "compare-masks --backbone demo --images none --masks a,b --out",
        "edc --backbone demo --benchmark none --out",
        "score --backbone demo --images none --out",
        "convert none",
        "align none",
        "demo --out",
        "bench --out",
    ],
)
def test_outputs_that_cannot_be_written_come_first(words, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "out.safetensors"
    assert main([*words.split(), str(out)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(out) in line
    assert "Not a directory" in line
