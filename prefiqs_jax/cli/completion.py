"""``prefiqs --print-completion SHELL``: completion of commands, options and names."""

import argparse
from typing import Any

from prefiqs_jax.errors import InputError
from prefiqs_jax.terminal import emit

SHELLS = ("bash", "zsh", "fish")


class PrintCompletion(argparse.Action):
    """Print the script with which a shell completes ``prefiqs``; exit."""

    def __init__(self, option_strings: Any, dest: str, **settings: Any):
        told = "print the completion script of a shell, and exit: "
        settings |= {"choices": SHELLS, "help": told + ", ".join(SHELLS)}
        super().__init__(option_strings, dest, metavar="SHELL", **settings)

    def __call__(
        self, parser: argparse.ArgumentParser, _: Any, values: Any, *__: Any
    ) -> None:
        """Print and exit; InputError if shtab is not installed."""
        emit(completion(parser, str(values)))
        parser.exit()


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Make the script; its names are those that are known now, plugins included."""
    try:
        import shtab
    except ImportError:
        message = (
            "completion is made by shtab, which is not installed; pip install "
            "'prefiqs-jax[completion]'"
        )
        raise InputError(message) from None
    _complete_paths(parser, shtab)
    return shtab.complete(parser, shell) + "\n"


def _complete_paths(parser: argparse.ArgumentParser, shtab: Any) -> None:
    """Complete paths wherever a value is none of a list of names.

    Without it a shell would complete nothing there, not even what it did before.
    """
    for action in parser._actions:  # which shtab reads, too
        if isinstance(action.choices, dict):
            for command in action.choices.values():
                _complete_paths(command, shtab)
        elif action.choices is None and action.nargs != 0:
            is_folder = action.metavar in ("DIR", "RUN")
            vars(action)["complete"] = shtab.DIRECTORY if is_folder else shtab.FILE
