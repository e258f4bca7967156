"""Write the README's tables of costs from the JSON files, so that they cannot differ.

    python experiments/benchmarks/readme_tables.py

A table stands between ``<!-- NAME table: from FILE.json -->`` and ``<!-- end -->``.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
MARKED = re.compile(
    r"(<!-- (\w+) table: from ([\w.]+\.json) -->\n).*?(<!-- end -->)", re.S
)
TITLES = {
    "arcface_iresnet18": "iResNet-18",
    "arcface_iresnet34": "iResNet-34",
    "arcface_iresnet50": "iResNet-50",
    "arcface_iresnet100": "iResNet-100",
    "curricularface_ir101": "CurricularFace IR-101",
    "adaface_ir50": "AdaFace IR-50",
    "arcface_mobilefacenet": "ArcFace MobileFaceNet",
    "xiaoccer_mobilefacenet": "Xiaoccer MobileFaceNet",
    "arcface_vit_t": "ViT-T",
    "sface": "SFace",
}
OPPONENTS = ("usual", "expert", "compiled")


def main() -> None:
    """Rewrite the tables in the README."""
    README.write_text(updated(README.read_text("utf-8")), "utf-8")


def updated(text: str) -> str:
    """Put the tables of the JSON files into a text."""

    def fill(found: re.Match[str]) -> str:
        begin, kind, file, end = found.groups()
        rows = json.loads((HERE / file).read_text("utf-8"))["rows"]
        return begin + "\n".join(TABLES[kind](rows)) + "\n" + end

    return MARKED.sub(fill, text)


def sweep_table(rows: list[dict[str, Any]]) -> list[str]:
    """One line a network: cost in forwards, and PyTorch's with its time over ours."""
    header = ["network", "S", "floor", "ours", *(f"PyTorch, {o}" for o in OPPONENTS)]
    lines = [header, ["---"] * len(header)]
    for row in rows:
        cells = [
            _title(row["network"]),
            str(row["sparsities"]),
            str(row["floor_forwards"]),
            f"**{row['ours']['cost_forwards']:.1f}**",
        ]
        theirs = row.get("pytorch", {})
        cells += [_opponent(theirs.get(name, {})) for name in OPPONENTS]
        lines.append(cells)
    return [_line(cells) for cells in lines]


def forward_table(rows: list[dict[str, Any]]) -> list[str]:
    """One line a network: PyTorch's time over ours, and ours."""
    lines = [
        ["network", "PyTorch's time / ours", "ours", "first call, with compilation"],
        ["---"] * 4,
    ]
    lines += [
        [
            _title(row["network"]),
            f"{row['ratio']:.2f}",
            f"{row['ours_s'] * 1e3:,.0f} ms",
            f"{row['first_call_s']:.1f} s",
        ]
        for row in rows
    ]
    return [_line(cells) for cells in lines]


TABLES: dict[str, Callable[[list[dict[str, Any]]], list[str]]] = {
    "sweep": sweep_table,
    "forward": forward_table,
}


def _opponent(about: dict[str, Any]) -> str:
    if "cost_forwards" not in about:
        return "not possible" if "left_out" in about else ""
    return f"{about['cost_forwards']:.1f} ({about['time_over_ours']:.2f} ×)"


def _title(network: str) -> str:
    return TITLES.get(network, network)


def _line(cells: list[str]) -> str:
    if set(cells) == {"---"}:
        return "|" + "---|" * len(cells)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
