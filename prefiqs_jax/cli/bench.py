"""``prefiqs bench``: run the repository's timings, put their ratios into one table.

The benchmarks are scripts in ``experiments/timings`` of the repository, not part of
the wheel. Each takes ``--quick`` and ``--out FOLDER`` and writes one JSON file there,
``NAME_<kind of device>.json``, whose ``ratios`` are the lines of the table: ``what``,
``value``, and a goal, ``at_most`` or ``at_least``, where there is one.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefiqs_jax.errors import InputError, check_choice
from prefiqs_jax.files import make_folder

BENCHMARKS = ("forward", "sweep_cost", "precision", "pipeline", "scaling", "ranking")
BENCHMARKS += ("quality_cost", "edc")
FOLDER = Path(__file__).parents[2] / "experiments" / "timings"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one benchmark.

    Attributes
    ----------
    name
        Name of the script.
    ratios
        Its figures, none if it failed.
    failure
        The last line that it printed, if it failed.
    """

    name: str
    ratios: tuple[dict[str, Any], ...]
    failure: str | None = None


def add_bench(commands: Any) -> None:
    """Add ``bench`` to the commands."""
    bench = commands.add_parser(
        "bench",
        help="run the repository's benchmarks, print a table of ratios",
        description="Run the benchmarks of the repository on this machine and print "
        "what they found as ratios: forward, sweep_cost, precision, pipeline, scaling, "
        "ranking, quality_cost, edc. Exit status 1 says that one of them failed.",
    )
    bench.add_argument("names", nargs="*", metavar="NAME", help="default: all of them")
    bench.add_argument("--quick", action="store_true", help="only see that they run")
    bench.add_argument(
        "--out",
        metavar="DIR",
        help="of the JSON files (default: beside the scripts; --quick keeps none)",
    )
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> int:
    found = run_benchmarks(options.names, quick=options.quick, out=options.out)
    print("\n".join(["", *table(found, goals=not options.quick)]))
    return int(any(outcome.failure for outcome in found))


def run_benchmarks(
    names: Sequence[str] = (),
    *,
    quick: bool = False,
    out: str | os.PathLike[str] | None = None,
    folder: Path | None = None,
    say: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run benchmarks one after another, each in a process of its own.

    Parameters
    ----------
    names
        Of :data:`BENCHMARKS`; none for all.
    quick
        Settings that only show that everything runs; the figures mean nothing.
    out
        Folder of the JSON files; by default beside the scripts, or with ``quick`` a
        temporary one, so that no measurement is lost to a try.
    folder
        Folder of the scripts; None for :data:`FOLDER`.
    say
        Gets each line as it comes.

    Returns
    -------
    list of Outcome
        One a benchmark; a failed one does not keep the others from running.

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
    if out is None and quick:
        with tempfile.TemporaryDirectory() as temporary:
            return _run_all(names, quick, Path(temporary), folder, say)
    return _run_all(names, quick, make_folder(out or folder), folder, say)


def table(outcomes: Sequence[Outcome], *, goals: bool = True) -> list[str]:
    """Lay the figures out as lines: benchmark, what, value, goal and whether it is met.

    Parameters
    ----------
    outcomes
        Of :func:`run_benchmarks`.
    goals
        Tell the goals; those of a quick try would mean nothing.

    Examples
    --------
    >>> figure = {"what": "cost over floor", "value": 0.914, "at_most": 1.05}
    >>> print(*table([Outcome("sweep_cost", (figure,))]))
    sweep_cost  cost over floor  0.914  goal: at most 1.05, met
    """
    rows = [
        (
            outcome.name,
            figure["what"],
            f"{figure['value']:.3g}",
            _goal(figure) if goals else "",
        )
        for outcome in outcomes
        for figure in outcome.ratios
    ]
    rows += [(o.name, "failed", "", o.failure) for o in outcomes if o.failure]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _run_all(
    names: Sequence[str],
    quick: bool,
    out: Path,
    folder: Path,
    say: Callable[[str], None],
) -> list[Outcome]:
    chosen = names or BENCHMARKS
    outcomes = []
    for number, name in enumerate(chosen, start=1):
        say(f"[{number}/{len(chosen)}] {name}")
        start = time.monotonic()
        outcome = _run(name, quick, out, folder, say)
        ended = f"failed: {outcome.failure}" if outcome.failure else "done"
        took = time.monotonic() - start
        say(f"[{number}/{len(chosen)}] {name} {ended} ({took:.0f} s)")
        outcomes.append(outcome)
    return outcomes


def _run(
    name: str, quick: bool, out: Path, folder: Path, say: Callable[[str], None]
) -> Outcome:
    before = _written(name, out)
    words = [sys.executable, str(folder / f"{name}.py"), "--out", str(out)]
    # The scripts measure the package that runs them, installed or not.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    last = "it printed nothing"
    with subprocess.Popen(
        [*words, *(["--quick"] if quick else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env={**environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
    ) as child:
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
    if "at_most" in figure:
        met = figure["value"] <= figure["at_most"]
        goal = f"at most {figure['at_most']:g}"
    elif "at_least" in figure:
        met = figure["value"] >= figure["at_least"]
        goal = f"at least {figure['at_least']:g}"
    else:
        return ""
    return f"goal: {goal}, {'met' if met else 'missed'}"
