"""Write the blocks of numbers on the pages from the tables and records that hold them.

    python docs/blocks.py [--run RUN]

With ``--run`` the table and figure of agreement are made anew before, from a run of
SFace as docs/results.md has its command. A block stands between ``<!-- NAME: from PATH
-->`` and ``<!-- end -->``, PATH being seen from the project's root; those of timings
are by experiments/timings/readme_tables.py.
"""

import argparse
import importlib
import json
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from prefiqs_jax import plots, results
from prefiqs_jax.report.tables import run_tables

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/results.md", "docs/intervals.md")
MARKED = re.compile(r"(<!-- ([\w ]+): from (\w+/[\w./]+) -->\n).*?(<!-- end -->)", re.S)
AGREEMENT = ROOT / "docs" / "results" / "agreement.csv"
_STYLED = {"median_relative_residual": 0, "median_norm_error": 1, "spearman": 2}
_WITHIN = 0.1
_RANKED = 0.9


def main() -> None:
    """Rewrite the blocks of all pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--run", type=Path, help="run of prefiqs sweep, of SFace")
    run = parser.parse_args().run
    if run:
        measured(run).to_csv(AGREEMENT, index=False, float_format="%.6g")
        draw(pd.read_csv(AGREEMENT), AGREEMENT.with_suffix(".png"))
    for page in PAGES:
        path = ROOT / page
        path.write_text(updated(path.read_text("utf-8")), "utf-8")


def updated(text: str) -> str:
    """Put what the tables say into a text."""

    def fill(found: re.Match[str]) -> str:
        begin, name, path, end = found.groups()
        return begin + "\n".join(MADE[name](ROOT / path)) + "\n" + end

    return MARKED.sub(fill, text)


def measured(run: Path) -> pd.DataFrame:
    """Tabulate the statistics of a run, its median drift and the norm of δ."""
    rows: Any = results.read(run)
    tables: Any = run_tables(
        rows, results.with_image_columns(rows), results.read_manifest(run)
    )
    kept = ["sparsity", "statistic", "value", "low", "high", "images", "clusters"]
    table = tables["statistics"][kept].rename(columns={"clusters": "people"})
    drift = rows.groupby("sparsity")["drift"].median()
    norms = tables["mask"].set_index("sparsity")["delta_norm_relative"]
    return pd.concat(
        [
            table,
            *(
                values.rename("value").reset_index().assign(statistic=name)
                for name, values in (("median_drift", drift), ("delta_norm", norms))
            ),
        ]
    )


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw what the first order misses, and how it ranks, over sparsity."""
    with plots.theme():
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(plots.PAGE_IN, 2.6), layout="constrained"
        )
        for statistic, label in (
            ("median_relative_residual", "change (relative residual)"),
            ("median_norm_error", "norm"),
        ):
            plots.statistic_against_sparsity(
                left, table, statistic, label=label, style=_STYLED[statistic]
            )
        plots.statistic_against_sparsity(right, table, "spearman", style=2)
        left.axhline(_WITHIN, color="0.5", lw=0.7, ls="--", zorder=0)
        right.axhline(_RANKED, color="0.5", lw=0.7, ls="--", zorder=0)
        left.set(xlabel="sparsity", ylabel="median error of the first order")
        left.legend()
        right.set(
            xlabel="sparsity", ylabel="Spearman ρ with the drift", ylim=(-0.2, 1.03)
        )
        figure.savefig(path, dpi=150)


def agreement_table(path: Path) -> list[str]:
    """One line a sparsity: drift, relative residual, rank, norm and direction."""
    shown = {
        "median_relative_residual": ("median relative residual", _per_cent),
        "spearman": ("rank: Spearman ρ", _plain),
        "median_norm_error": ("norm: median error", _per_cent),
        "mean_cosine": ("direction: mean cosine", _plain),
    }
    table: Any = pd.read_csv(path)
    titles = [title for title, _ in shown.values()]
    lines = [["sparsity", "‖δ‖ / ‖θ‖", "median drift", *titles]]
    for sparsity, own in table.groupby("sparsity"):
        found = own.set_index("statistic")
        cells = [f"{sparsity:g}"]
        cells += [
            f"{found.loc[n, 'value']:.3f}" for n in ("delta_norm", "median_drift")
        ]
        cells += [form(found.loc[name]) for name, (_, form) in shown.items()]
        lines.append(cells)
    return _table(lines)


def agreement_said(path: Path) -> list[str]:
    """Say how far change, rank and norm hold."""
    table: Any = pd.read_csv(path)
    wide = table.pivot(index="sparsity", columns="statistic", values="value")
    change = _last(wide["median_relative_residual"] <= _WITHIN)
    rank = _last(wide["spearman"] >= _RANKED)
    norm = _last(wide["median_norm_error"] <= _WITHIN)
    at = wide.loc[rank]
    return _wrapped(
        f"On SFace and {table['images'].max():.0f} clean faces of "
        f"{table['people'].max():.0f} people the first order misses at most "
        f"{_WITHIN:.0%} of the embedding's change up to a sparsity of {change:g}; it "
        f"ranks the images as the drift does (Spearman {_RANKED:g} or more) up to "
        f"{rank:g}, where it misses "
        f"{at['median_relative_residual']:.0%} of the change, and its norm is right to "
        f"{_WITHIN:.0%} up to {norm:g}. At {wide.index[-1]:g} what it leaves is "
        f"{wide['median_relative_residual'].iloc[-1]:.0%} of the change."
    )


def demo(path: Path) -> list[str]:
    """Quote the program."""
    lines = []
    for said in path.read_text("utf-8").splitlines():
        if not said.startswith("More: "):
            lines += textwrap.wrap(f"- {said}", 88, subsequent_indent="  ")
    return lines


def demo_training(path: Path) -> list[str]:
    """Give the equal error rate over the seeds."""
    record = json.loads(path.read_text("utf-8"))
    error = record["verification"]["clean"]["eer"]
    settings = record["runs"][0]["settings"]
    return _wrapped(
        f"Equal error rate on {settings['testing_people']} held-out people, mean and "
        f"standard deviation of {len(record['runs'])} seeds: "
        f"{100 * error['mean']:.2f} % ± {100 * error['sd']:.2f} %."
    )


def mask_ablation(path: Path) -> list[str]:
    """Say what the analysis finds."""
    sys.path.insert(0, str(ROOT / "analysis"))
    finding = importlib.import_module("mask_ablation").finding
    return _wrapped(finding(pd.read_csv(path)))


def learned(path: Path) -> list[str]:
    """One line a goal: what was learned for it, beside magnitude."""
    goals = {
        "least_drift": "mean squared drift",
        "best_agreement": "mean relative residual",
        "separation": "d′ of log drifts, clean and degraded",
    }
    record = json.loads(path.read_text("utf-8"))
    people = record["goals"][0]["held_out"]["people"]
    lines = [
        [
            f"{record['backbone']}, {record['faces']}, {people} people, sparsity "
            f"{record['settings']['sparsity']:g}",
            "magnitude",
            "learned",
            "gain",
            "gain where it was learned",
        ]
    ]
    for goal in record["goals"]:
        held, seen = goal["held_out"], goal["learned_on"]
        # Of the separation the loss is kept, which is minus d′.
        sign = -1 if goal["goal"] == "separation" else 1
        gain = f"{held['gain']:.3g} [{held['low']:.3g}, {held['high']:.3g}]"
        lines.append(
            [
                goals[goal["goal"]],
                f"{sign * held['magnitude']:.3g}",
                f"{sign * held['learned']:.3g}",
                gain,
                f"{seen['gain']:.3g}",
            ]
        )
    return _table(lines)


def areas(path: Path) -> list[str]:
    """One line a quality: its areas on each benchmark and at each rate."""
    table: Any = pd.read_csv(path)
    table = table[table["reference"] == table["reference"].iloc[-1]]
    columns = list(table.groupby(["benchmark", "fmr"], sort=False).groups)
    people = table.groupby("benchmark")["people"].max()
    lines = [
        [
            "pAUC × 10³, lower = better",
            *(f"{name}, {people[name]} people, FMR {fmr:g}" for name, fmr in columns),
        ]
    ]
    for quality, own in table.groupby("quality", sort=False):
        found = own.set_index(["benchmark", "fmr"])[["pauc", "low", "high"]] * 1e3
        cells = [
            "{:.1f} [{:.1f}, {:.1f}]".format(*found.loc[column]) for column in columns
        ]
        lines.append([str(quality), *cells])
    return _table(lines)


def coverage(path: Path) -> list[str]:
    """One line a number of people: least and greatest coverage of each method."""
    record = json.loads(path.read_text("utf-8"))["coverage"]
    kinds = [own for name, own in record.items() if " per person" not in name]
    kinds += [own for name, own in record.items() if name.endswith("images per person")]
    methods = {"used": "of the package", "percentile": "percentile bootstrap"}
    lines = [["people", *(f"{words}, 95 %" for words in methods.values())]]
    for people in _people(kinds):
        cells = [
            _range([own[people][method] for own in kinds if method in own[people]])
            for method in methods
        ]
        lines.append([people, *cells])
    return _table(lines)


def coverage_near_one(path: Path) -> list[str]:
    """One line a correlation: coverage of Spearman's, and how often there is one."""
    record = json.loads(path.read_text("utf-8"))
    people = ("8", "10", "20")
    header = ["correlation", "images a person"]
    header += [f"{n} people: covers; has an interval" for n in people]
    lines = [header]
    for name, own in record["coverage"].items():
        found = re.fullmatch(r"spearman, correlation ([\d.]+), (\d) per person", name)
        if not found:
            continue
        given = record["given"].get(name, {})
        cells = []
        for n in people:
            covers, has = own[n]["used"], given.get(n, {}).get("used", 1)
            covered = "–" if covers is None else f"{covers:.0%}"
            cells.append(f"{covered}; {has:.0%}")
        lines.append([*found.groups(), *cells])
    return _table(lines)


def coverage_of_areas(path: Path) -> list[str]:
    """One line a number of people: coverage of areas, differences, all together."""
    record = json.loads(path.read_text("utf-8"))
    kinds = {
        "an area": (r".*, pAUC \w+", "jackknife t of the logarithm"),
        "a difference": (r".*, \w+ - \w+", "jackknife t"),
        "four differences together": (r".*, family", "jackknife max-t"),
    }
    lines = [["people", *kinds]]
    for people in _people([*record.values()]):
        cells = [
            _range(
                [
                    own[people][method]
                    for name, own in record.items()
                    if re.fullmatch(pattern, name) and method in own.get(people, {})
                ]
            )
            for pattern, method in kinds.values()
        ]
        lines.append([people, *cells])
    return _table(lines)


MADE: dict[str, Callable[[Path], list[str]]] = {
    "agreement table": agreement_table,
    "agreement said": agreement_said,
    "demo": demo,
    "demo training": demo_training,
    "mask ablation": mask_ablation,
    "learned demo": learned,
    "learned sface": learned,
    "areas": areas,
    "coverage": coverage,
    "coverage near one": coverage_near_one,
    "coverage of areas": coverage_of_areas,
}


def _people(kinds: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({people for own in kinds for people in own}, key=int)


def _range(shares: Sequence[float]) -> str:
    if not shares:
        return ""
    low, high = f"{min(shares):.0%}", f"{max(shares):.0%}"
    return low if low == high else f"{low} to {high}"


def _last(holds: Any) -> float:
    """Return the last sparsity up to which it holds without a gap."""
    return holds.index[holds.cummin()].max()


def _per_cent(row: Any) -> str:
    value, low, high = (100 * row[key] for key in ("value", "low", "high"))
    return f"{value:.1f} % [{low:.1f}, {high:.1f}]"


def _plain(row: Any) -> str:
    value, low, high = (row[key] for key in ("value", "low", "high"))
    return f"{value:.3f}" + ("" if pd.isna(low) else f" [{low:.3f}, {high:.3f}]")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 88, break_long_words=False, break_on_hyphens=False)


def _table(lines: Sequence[Sequence[str]]) -> list[str]:
    header, *rest = [f"| {' | '.join(cells)} |" for cells in lines]
    return [header, "|" + "---|" * len(lines[0]), *rest]


if __name__ == "__main__":
    main()
