"""Parse the command line, run the command, report errors in one line."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from prefiqs_jax.cli.align import add_align
from prefiqs_jax.cli.bench import add_bench
from prefiqs_jax.cli.check import add_check
from prefiqs_jax.cli.cite import add_cite
from prefiqs_jax.cli.compare_masks import add_compare_masks
from prefiqs_jax.cli.completion import PrintCompletion
from prefiqs_jax.cli.convert import add_convert
from prefiqs_jax.cli.demo import add_demo
from prefiqs_jax.cli.edc import add_edc
from prefiqs_jax.cli.interrupts import Interrupts
from prefiqs_jax.cli.lists import add_lists
from prefiqs_jax.cli.report import add_report
from prefiqs_jax.cli.score import add_score
from prefiqs_jax.cli.sweep import add_sweep
from prefiqs_jax.cli.versions import ShowVersion
from prefiqs_jax.errors import InputError
from prefiqs_jax.terminal import ready_streams, say, to_stdout

USAGE_ERROR = 2
INTERRUPTED = 130
CLOSED_PIPE = 141
"""What a shell reports of a command that SIGPIPE ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, 2 for bad input, 130 for Ctrl-C, or as told.

    141 where the reader of its output has gone, as of ``prefiqs backbones | head``.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    ready_streams()
    try:
        return _run(words)
    except BrokenPipeError:
        return CLOSED_PIPE


def _run(words: list[str]) -> int:
    try:
        with Interrupts():
            options = parser().parse_args(words)
            options.words = ["prefiqs", *words]
            return options.run(options) or 0
    except InputError as error:
        say(f"prefiqs: {error}")
        return USAGE_ERROR
    except KeyboardInterrupt:
        interrupted = "prefiqs: interrupted; finished parts are kept, the same command"
        say("", f"{interrupted} goes on")
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    """Takes options by their whole names: --weigh is none."""

    def __init__(self, **settings: Any):
        super().__init__(allow_abbrev=False, **settings)

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not sys.stdout:
            super()._print_message(message, file)
            return
        with to_stdout():  # argparse itself lets no write fail
            print(message, end="", flush=True)


def parser() -> argparse.ArgumentParser:
    """Make the parser of all commands, in the order in which they are listed."""
    top = _Parser(
        prog="prefiqs",
        description="First-order drift (exact JVP) against real pruned drift of face "
        "embeddings, and the face image quality that follows from it.",
    )
    top.add_argument("-V", "--version", action=ShowVersion)
    top.add_argument("--print-completion", action=PrintCompletion)
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    for add in (
        add_demo,
        add_sweep,
        add_report,
        add_cite,
        add_compare_masks,
        add_score,
        add_edc,
        add_align,
        add_check,
        add_convert,
        add_lists,
        add_bench,
    ):
        add(commands)
    return top
