"""Make every run that is described in ``experiments/runs``, skipping what is there.

    python experiments/make_runs.py --inputs ../shared --out runs --dry-run
    python experiments/make_runs.py --inputs ../shared --out runs sparsities edc

A description is a TOML file: a command and its options, for every combination of what
its lists hold (networks × masks × faces …). ``{inputs}`` stands for the folder of faces
and weights. The plan is printed first: what is done, begun, to do, or left out because
an input is not there. Killed, the same command goes on where it stopped. Findings and
figures are made of the runs by ``python analysis/all_questions.py RUNS``.
"""

import argparse
import itertools
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.results import read_manifest

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTIONS = ROOT / "experiments/runs"
_KEYS = {"about", "command", "out", "makes", "options", "of"}
_INPUTS = "{inputs}"


class Run(NamedTuple):
    """One run of a description."""

    out: Path
    command: list[str]
    makes: str
    """File in ``out``, or ``.``, that is there when it is done."""
    needs: list[Path]
    """Inputs that must be there."""

    def state(self) -> str:
        """Say ``done``, ``begun``, ``to do``, or which input is not there."""
        made = self.out / self.makes
        if made.exists():
            is_sweep = made.name == "run.json"
            if not is_sweep or read_manifest(self.out).get("finished"):
                return "done"
        absent = [str(path) for path in self.needs if not path.exists()]
        if absent:
            return f"left out: no {absent[0]}"
        return "begun" if self.out.exists() else "to do"


def read_description(path: Path) -> dict[str, Any]:
    """Read and check a description; InputError names what is wrong in it."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        message = f"{path} cannot be read ({error}); it must be TOML"
        raise InputError(message) from None
    if unknown := sorted(found.keys() - _KEYS):
        known = ", ".join(sorted(_KEYS))
        message = f"{path}: unknown key {unknown[0]}; known are {known}"
        raise InputError(message)
    if missing := [key for key in ("about", "command", "out") if key not in found]:
        message = f"{path} lacks the key {missing[0]}; add it"
        raise InputError(message)
    return found


def runs_of(description: Mapping[str, Any], inputs: Path, out: Path) -> Iterator[Run]:
    """List the runs of a description: one for each combination of its lists."""
    lists = description.get("of", {})
    command, *arguments = description["command"]
    start = ["-m", "prefiqs_jax"] if command == "prefiqs" else [str(ROOT / command)]
    for chosen in itertools.product(*lists.values()):
        options = dict(description.get("options", {}))
        names = {}
        for kind, one in zip(lists, chosen, strict=True):
            own = dict(one)
            names[kind] = own.pop("name")
            options |= own
        words = list(arguments)
        for option, value in options.items():
            for each in value if isinstance(value, list) else [value]:
                words += [f"--{option}"] + [str(each)] * (each is not True)
        folder = out / description["out"].format(**names)
        needs = [
            inputs / word.partition(_INPUTS)[2].lstrip("/")
            for word in words
            if _INPUTS in word
        ]
        words = [word.replace(_INPUTS, str(inputs)) for word in words]
        line = [sys.executable, *start, *words, "--out", str(folder)]
        yield Run(folder, line, description.get("makes", "run.json"), needs)


def plan(
    names: Sequence[str], inputs: Path, out: Path
) -> dict[str, tuple[str, list[Run]]]:
    """Read the descriptions of these names, or all: what each is about, and its runs.

    Raises InputError if there is no such description, or one is wrong.
    """
    known = sorted(path.stem for path in DESCRIPTIONS.glob("*.toml"))
    if unknown := [name for name in names if name not in known]:
        message = f"there is no description {unknown[0]}; known are {', '.join(known)}"
        raise InputError(message)
    read = {
        name: read_description(DESCRIPTIONS / f"{name}.toml") for name in names or known
    }
    return {
        name: (found["about"], list(runs_of(found, inputs, out)))
        for name, found in read.items()
    }


def print_plan(
    planned: Mapping[str, tuple[str, list[Run]]], *, with_commands: bool
) -> None:
    """Say of every run how far it is, and what would be called."""
    for name, (about, runs) in planned.items():
        print(f"{name}: {about}")
        for run in runs:
            print(f"  {run.out}  {run.state()}")
            if with_commands:
                print(f"    {shlex.join(run.command)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the plan and carry it out; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="descriptions (all)")
    parser.add_argument(
        "--inputs",
        type=Path,
        default=Path("../shared"),
        metavar="DIR",
        help="folder that holds faces/ and weights/ (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="folder of all runs (default: %(default)s)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan only")
    options = parser.parse_args(arguments)
    try:
        planned = plan(options.names, options.inputs, options.out)
        print_plan(planned, with_commands=options.dry_run)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    failed = []
    for run in itertools.chain.from_iterable(each for _, each in planned.values()):
        if options.dry_run or run.state() not in ("to do", "begun"):
            continue
        print(f"{run.out}:", flush=True)
        run.out.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run(run.command, check=False).returncode:
            failed.append(run.out)
    for path in failed:
        print(f"error: {path} was not finished; see above", file=sys.stderr)
    return 2 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
