"""Ask every question of this folder of all runs, and write the page of findings.

    python analysis/all_questions.py RUNS --out DIR --findings docs/findings.md

RUNS is a folder of runs, such as ``experiments/make_runs.py`` makes. Each question
takes the runs that were swept with what it needs; which it takes is printed. Questions
that need faces themselves are asked of what their scripts kept in RUNS/NAME, those
about qualities of its evaluations (``prefiqs edc``), those of precisions, of many masks
and of recognition of the runs and evaluations in RUNS/NAME. One for which there is
nothing is left out, and its section of the page stays as it was.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from from_images import kept_name
from from_runs import add_output
from recognition import TABLE

from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation.folder import MARKER, MEASURED
from prefiqs_jax.results import read_manifest

OF_RUNS = ("first_order_limits", "kinks", "layers", "controls")
OF_IMAGES = (
    "paths",
    "metric",
    "alignment_study",
    "label_optimisation",
    "expected_drift",
)
"""Asked of what their scripts kept in RUNS/NAME."""
OF_EVALUATIONS = {"sparsity_choice": 1, "transfer": 2}
"""Asked of evaluations in which so many networks scored."""
OF_OWN = ("precisions", "mask_ablation")
"""Asked of the runs in RUNS/NAME, all together."""
OF_PRUNED = ("recognition",)
"""Asked of the evaluations in RUNS/NAME whose pruned networks verified."""
QUESTIONS = (*OF_RUNS, *OF_IMAGES, *OF_EVALUATIONS, *OF_OWN, *OF_PRUNED)
"""All of them: each has its section on the page."""


def asked_of(runs: Path) -> Iterator[tuple[str, list[Path]]]:
    """Give each question with the folders that can answer it, in order of their names.

    Raises InputError if RUNS is no folder, or a run's record cannot be read.
    """
    if not runs.is_dir():
        message = f"there is no folder {runs}; give the folder of your runs"
        raise InputError(message)
    swept = {
        path.parent: set(read_manifest(path.parent)["settings"].get("with", []))
        for path in sorted(runs.glob("*/run.json"))
    }
    for name in OF_RUNS:
        needs = set(importlib.import_module(name).ANALYSIS.needs)
        yield name, [run for run, has in swept.items() if needs and needs <= has]
    for name in OF_IMAGES:
        table = kept_name(importlib.import_module(name).ANALYSIS)
        kept = sorted(runs.glob(f"{name}/*/{table}"))
        yield name, [path.parent for path in kept]
    evaluated = [path.parent for path in sorted(runs.glob(f"*/{MARKER}"))]
    for name, count in OF_EVALUATIONS.items():
        yield name, [each for each in evaluated if len(_scorers(each)) >= count]
    for name in OF_OWN:
        yield name, [path.parent for path in sorted(runs.glob(f"{name}/*/run.json"))]
    for name in OF_PRUNED:
        kept = sorted(runs.glob(f"{name}/*/{TABLE}"))
        yield name, [path.parents[1] for path in kept]


def _scorers(evaluation: Path) -> set[str]:
    """Name the networks that scored."""
    return {
        path.parent.name
        for path in evaluation.glob(f"{MEASURED}/*/*/run.json")
        if read_manifest(path.parent)["settings"].get("scores")
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask all questions; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", type=Path, metavar="RUNS")
    add_output(parser)
    options = parser.parse_args(arguments)
    try:
        questions = list(asked_of(options.runs))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not any(answers for _, answers in questions):
        print(f"error: {options.runs} holds no run to ask; make some by "
              "experiments/make_runs.py", file=sys.stderr)  # fmt: skip
        return 2
    status = 0
    for name, answers in questions:
        names = ", ".join(str(run.relative_to(options.runs)) for run in answers)
        print(f"{name}: {names or 'left out, as no run has what it needs'}", flush=True)
        if not answers:
            continue
        script = importlib.import_module(name)
        words = [*map(str, answers), "--out", str(options.out / name)]
        if options.findings:
            words += ["--findings", str(options.findings)]
        status = max(status, script.main(words))
    return status


if __name__ == "__main__":
    sys.exit(main())
