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
import json
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prefiqs_jax.errors import InputError

HERE = Path(__file__).resolve().parent
DESCRIPTIONS = HERE / "runs"
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
        if made.exists() and (
            made.name != "run.json" or json.loads(made.read_text()).get("finished")
        ):
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
    for chosen in itertools.product(*lists.values()):
        options = dict(description.get("options", {}))
        names = {}
        for kind, one in zip(lists, chosen, strict=True):
            own = dict(one)
            names[kind] = own.pop("name")
            options |= own
        folder = out / description["out"].format(**names)
        command, *rest = description["command"]
        words = (
            [sys.executable, "-m", "prefiqs_jax"]
            if command == "prefiqs"
            else [sys.executable, str(HERE.parent / command)]
        )
        places = [each.replace(_INPUTS, str(inputs)) for each in rest]
        needs = [
            Path(place)
            for each, place in zip(rest, places, strict=True)
            if each.startswith(_INPUTS)
        ]
        words += places
        for option, value in options.items():
            given = (
                [] if value is True else value if isinstance(value, list) else [value]
            )
            texts = [str(each).replace(_INPUTS, str(inputs)) for each in given]
            needs += [
                Path(text)
                for each, text in zip(given, texts, strict=True)
                if str(each).startswith(_INPUTS)
            ]
            words += [f"--{option}", *texts]
        words += ["--out", str(folder)]
        yield Run(folder, words, description.get("makes", "run.json"), needs)


def plan(names: Sequence[str], inputs: Path, out: Path) -> dict[str, list[Run]]:
    """Read the descriptions of these names, or all, in alphabetical order."""
    known = sorted(path.stem for path in DESCRIPTIONS.glob("*.toml"))
    if unknown := [name for name in names if name not in known]:
        message = f"there is no description {unknown[0]}; known are {', '.join(known)}"
        raise InputError(message)
    return {
        name: list(
            runs_of(read_description(DESCRIPTIONS / f"{name}.toml"), inputs, out)
        )
        for name in names or known
    }


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
        runs = plan(options.names, options.inputs, options.out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, each in runs.items():
        print(f"{name}: {read_description(DESCRIPTIONS / f'{name}.toml')['about']}")
        for run in each:
            print(f"  {run.out}  {run.state()}")
            if options.dry_run:
                print(f"    {shlex.join(run.command)}")
    failed = []
    for run in itertools.chain.from_iterable(runs.values()):
        if options.dry_run or run.state() not in ("to do", "begun"):
            continue
        print(f"{run.out}:", flush=True)
        run.out.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run(run.command, check=False).returncode:
            failed.append(run.out)
    for path in failed:
        print(f"error: {path} was not finished; see above", file=sys.stderr)
    return min(len(failed), 1) * 2


if __name__ == "__main__":
    sys.exit(main())
