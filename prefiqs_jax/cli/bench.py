"""``prefiqs bench``: run the repository's timings, put their ratios into one table.

The benchmarks are scripts in ``experiments/timings`` of the repository, not part of
the wheel. Each takes ``--quick`` and ``--out FOLDER`` and writes one JSON file there,
``NAME_<kind of device>.json``, whose ``ratios`` are the lines of the table: ``what``,
``value``, and a goal, ``at_most`` or ``at_least``, where there is one.
"""

import argparse
import json
import operator
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from prefiqs_jax.cli.options import add_out
from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.files import make_folder
from prefiqs_jax.terminal import show
from prefiqs_jax.weights.wording import aligned

BENCHMARKS = ("forward", "sweep_cost", "precision", "pipeline", "scaling", "ranking")
BENCHMARKS += ("quality_cost", "theory_cost", "edc")
FOLDER = Path(__file__).parents[2] / "experiments" / "timings"


class Outcome(NamedTuple):
    """What became of one benchmark."""

    name: str
    ratios: tuple[dict[str, Any], ...]
    """Its figures, none if it failed."""
    failure: str | None = None
    """The last line that it printed, if it failed."""


def add_bench(commands: Any) -> None:
    """Add ``bench`` to the commands."""
    bench = commands.add_parser(
        "bench",
        help="run the repository's benchmarks, print a table of ratios",
        description="Run the benchmarks of the repository on this machine and print "
        f"what they found as ratios: {', '.join(BENCHMARKS)}. Exit status 1 says that "
        "one of them failed.",
    )
    bench.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    bench.add_argument("--quick", action="store_true", help="only see that they run")
    add_out(
        bench,
        metavar="DIR",
        help="of the JSON files (default: beside the scripts; --quick keeps none)",
    )
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    found = run_benchmarks(options.names, quick=options.quick, out=options.out)
    show("", *table(found, goals=not options.quick))
    return int(any(outcome.failure for outcome in found))


def run_benchmarks(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    out: str | os.PathLike[str] | None = None,
    folder: Path | None = None,
    say: Callable[[str], None] = show,
) -> list[Outcome]:
    """Run benchmarks one after another, each in a process of its own.

    Those named, or all, of the scripts in `folder` (None for :data:`FOLDER`); ``quick``
    only shows that they run. The JSON files go into `out`; by default beside the
    scripts, or with ``quick`` into a temporary folder, so that no measurement is lost
    to a try. A failed one does not keep the others from running. `say` gets each line
    as it comes.

    Raises
    ------
    InputError
        If a name is unknown, the scripts are not here, or ``out`` cannot be made.
    """
    for name in names:
        check_choice("benchmark", name, BENCHMARKS)
    folder = folder or FOLDER
    if not folder.is_dir():
        message = (
            f"{folder} is not here: the benchmarks are in the repository, not in the "
            "wheel; clone it and pip install -e it"
        )
        raise InputError(message)
    outcomes, chosen = [], names or BENCHMARKS
    with tempfile.TemporaryDirectory() as temporary:
        kept_in = make_folder(out or (temporary if quick else folder))
        for number, name in enumerate(chosen, start=1):
            told = f"[{number}/{len(chosen)}] {name}"
            say(told)
            start = time.monotonic()
            outcome = _run(name, quick, kept_in, folder, say)
            ended = f"failed: {outcome.failure}" if outcome.failure else "done"
            say(f"{told} {ended} ({time.monotonic() - start:.0f} s)")
            outcomes.append(outcome)
    return outcomes


def table(outcomes: Sequence[Outcome], *, goals: bool = True) -> list[str]:
    """Lay the figures out as lines: benchmark, what, value, and perhaps goals.

    >>> figure = {"what": "cost over floor", "value": 0.914, "at_most": 1.05}
    >>> print(*table([Outcome("sweep_cost", (figure,))]))
    sweep_cost  cost over floor  0.914  goal: at most 1.05, met
    """
    rows = [
        (
            one.name,
            ratio["what"],
            f"{ratio['value']:.3g}",
            _goal(ratio) if goals else "",
        )
        for one in outcomes
        for ratio in one.ratios
    ]
    rows += [(one.name, "failed", "", one.failure) for one in outcomes if one.failure]
    return aligned(rows)


def _run(
    name: str, quick: bool, out: Path, folder: Path, say: Callable[[str], None]
) -> Outcome:
    before = _written(name, out)
    words = [sys.executable, str(folder / f"{name}.py"), "--out", str(out)]
    words += ["--quick"] if quick else []
    # The scripts measure the package that runs them, installed or not.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1"}
    environment = {**os.environ, **own, "PYTHONIOENCODING": "utf-8"}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    text: Any = {"text": True, "encoding": "utf-8", "errors": "replace"}
    last = "it printed nothing"
    with subprocess.Popen(words, env=environment, **pipes, **text) as child:
        for line in child.stdout or ():
            if line.strip():
                last = line.strip()
                say(f"  {line.rstrip()}")
    if child.returncode:
        return Outcome(name, (), last)
    found = [p for p, when in _written(name, out).items() if before.get(p) != when]
    if not found:
        return Outcome(name, (), f"it wrote no {name}_*.json into {out}")
    return Outcome(name, tuple(json.loads(found[0].read_text("utf-8"))["ratios"]))


def _written(name: str, out: Path) -> dict[Path, int]:
    """Find the results of one benchmark, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in out.glob(f"{name}_*.json")}


def _goal(figure: dict[str, Any]) -> str:
    for goal, met in (("at_most", operator.le), ("at_least", operator.ge)):
        if goal in figure:
            ended = "met" if met(figure["value"], figure[goal]) else "missed"
            return f"goal: {goal.replace('_', ' ')} {figure[goal]:g}, {ended}"
    return ""
