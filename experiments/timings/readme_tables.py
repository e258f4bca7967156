"""Write the tables and sentences of costs on the pages of docs from the JSON files.

    python experiments/timings/readme_tables.py

So they cannot differ. What is written stands between ``<!-- NAME: from FILE.json -->``
and ``<!-- end -->``.
"""

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import ranged

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGES = ROOT / "docs" / "timings.md", ROOT / "docs" / "theory.md"
MARKED = re.compile(
    r"(<!-- ([\w ]+): from ([\w.]+\.json) -->\n).*?(<!-- end -->)", re.S
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
OPPONENTS = ("usual", "fastest")
SWEEPS = "sweep_cost_cpu.json"
GRAIN = "grain processes"
_SPREAD = ("median", "largest")


def main() -> None:
    """Rewrite the tables of all pages."""
    for page in PAGES:
        page.write_text(updated(page.read_text("utf-8")), "utf-8")


def updated(text: str) -> str:
    """Put the tables and sentences of the JSON files into a text."""

    def fill(found: re.Match[str]) -> str:
        begin, kind, file, end = found.groups()
        result = json.loads((HERE / file).read_text("utf-8"))
        return begin + "\n".join(MADE[kind](result)) + "\n" + end

    return MARKED.sub(fill, text)


def sweep_table(result: dict[str, Any]) -> list[str]:
    """One line a network: cost in forwards, and PyTorch's with its time over ours.

    Bold is what lies below the floor with its whole range.
    """
    header = ["network", "S", "floor", "ours", "dense forward"]
    header += [f"PyTorch, {name}" for name in OPPONENTS]
    lines = [header, ["---"] * len(header)]
    for row in result["rows"]:
        cost, floor = row["ours"]["cost_forwards"], row["floor_forwards"]
        text = ranged(cost)
        cells = [
            _title(row["network"]),
            str(row["sparsities"]),
            str(floor),
            f"**{text}**" if cost["high"] < floor else text,
            _milliseconds(row["ours"]["dense_s"]),
        ]
        theirs = row.get("pytorch", {})
        cells += [_opponent(theirs, name) for name in OPPONENTS]
        lines.append(cells)
    return [_line(cells) for cells in lines]


def sweep_conditions(result: dict[str, Any]) -> list[str]:
    """Say of how many turns, on what, the sweep's table is."""
    rows = result["rows"]
    versions = rows[0]["hardware"]["versions"]
    torch = next((r["pytorch"]["version"] for r in rows if _compared(r)), "none")
    repeats = sorted({row["repeats"] for row in rows})
    batches = sorted({row["batch"] for row in rows})
    differ = [
        f"{_title(row['network'])}, {ranged(row['ours']['over_floor'], 2)} ×"
        for row in rows
    ]
    return _wrapped(
        f"Medians of {_either(repeats)} turns, least and greatest in brackets; batches "
        f"of {_either(batches)}; {_machine(rows[0]['hardware'])}, JAX "
        f"{versions['jax']}, PyTorch {torch}, float32. Ours over the floor: "
        f"{'; '.join(differ)}."
    )


def forward_table(result: dict[str, Any]) -> list[str]:
    """One line a network: PyTorch's time over ours, and ours."""
    lines = [
        ["network", "PyTorch's time / ours", "ours", "first call, with compilation"],
        ["---"] * 4,
    ]
    lines += [
        [
            _title(row["network"]),
            ranged(row["ratio"], 2),
            _milliseconds(row["ours_s"]),
            f"{row['first_call_s']:.1f} s",
        ]
        for row in result["rows"]
    ]
    return [_line(cells) for cells in lines]


def forward_conditions(result: dict[str, Any]) -> list[str]:
    """Say how the forward passes were timed, and how the sweep's dense ones differ."""
    said = (
        f"{result['batch']} images, {result['repeats']} turns, {result['statistic']}; "
        f"a run of its own on {_machine(result['hardware'])}."
    )
    sweeps = json.loads((HERE / SWEEPS).read_text("utf-8"))["rows"]
    dense = {row["network"]: row for row in sweeps}
    each = [
        row["ours_s"]["median"]
        / result["batch"]
        * other["batch"]
        / other["ours"]["dense_s"]["median"]
        for row in result["rows"]
        if (other := dense.get(row["network"])) is not None
    ]
    if each:
        said += (
            " An image's share of a dense forward is "
            f"{min(each):.2f} to {max(each):.2f} times that of the table above, by "
            "which the sweeps are counted."
        )
    return _wrapped(said)


def loading(result: dict[str, Any]) -> list[str]:
    """Say how fast images are loaded, and how long assumed devices wait."""
    rates = {(r["folder"], r["way"]): r["images_per_s"] for r in result["rates"]}
    own = [rates[kind, "threads, default"] for kind in ("png", "jpg")]
    said = (
        "Images are loaded by threads while the device works: "
        f"{_hundreds(own[0])} PNG or {_hundreds(own[1])} JPEG of 112×112 pixels a "
        f"second on {_machine(result['hardware'])}. "
    )
    waits: dict[int, list[float]] = {}
    for row in result["simulated_devices"]:
        waits.setdefault(row["assumed_images_per_s"], []).append(row["waiting"])
    parts = [
        f"one that took {rate:,} a second would wait for {_percent(waiting)} of the "
        "time"
        for rate, waiting in sorted(waits.items())
    ]
    said += "Of devices assumed, not measured, " + ", and ".join(parts) + "."
    grain = [
        max(r for (kind, way), r in rates.items() if kind == form and GRAIN in way)
        for form in ("png", "jpg")
        if any(GRAIN in way for _, way in rates)
    ]
    if len(grain) == 2:
        said += (
            " [grain](https://github.com/google/grain) in processes of its own loads "
            f"{_hundreds(grain[0])} and {_hundreds(grain[1])}."
        )
    return _wrapped(said)


def scaling(result: dict[str, Any]) -> list[str]:
    """Say how time and memory grow with images and with sparsities."""
    images, sparsities = result["images"], result["sparsities"]
    first, last = images["rows"][0], images["rows"][-1]
    one, many = sparsities["rows"][0], sparsities["rows"][-1]
    off = max(images["line"]["worst_deviation"], sparsities["line"]["worst_deviation"])
    return _wrapped(
        f"Time grows in proportion to the images, and memory does not grow: "
        f"{first['images']} took {first['seconds']:.2g} s and "
        f"{first['peak_rss_bytes'] / 1e9:.2f} GB, {last['images']} took "
        f"{last['seconds']:.2g} s and {last['peak_rss_bytes'] / 1e9:.2f} GB "
        f"({_title(result['network'])}, {images['sparsities']} sparsities, masks and "
        f"programs from the cache included). From {one['sparsities']} to "
        f"{many['sparsities']} sparsities a batch of {result['batch']} goes from "
        f"{one['seconds']:.2f} to {many['seconds']:.1f} s. Neither is off a line by "
        f"more than {100 * off:.0f} %. All on {_machine(result['hardware'])}."
    )


def precision(result: dict[str, Any]) -> list[str]:
    """One line a sparsity: how far fast products are off, in the median and at most."""
    rows = {row["precision"]: row for row in result["rows"]}
    lines = [["sparsity", "first order, median", "at most", "drift, median", "at most"]]
    lines.append(["---"] * 5)
    for error in rows["fast"]["errors"]:
        keys = (f"{q}_{s}" for q in ("first_order", "drift") for s in _SPREAD)
        cells = [f"{100 * error[key]:.2g} %" for key in keys]
        lines.append([f"{error['sparsity']:g}", *cells])
    said = (
        f"{_title(result['network'])}, {result['origin']}, {result['batch']} images on "
        f"{_machine(result['hardware'])}. There `fast` takes "
        f"{rows['fast']['time_over_highest']:.2f} times as long as `highest`."
    )
    return [*map(_line, lines), "", *_wrapped(said)]


def quality_cost(result: dict[str, Any]) -> list[str]:
    """One line a method: forward passes, by definition and measured."""
    lines = [["method", "by definition", "measured, in forward passes"], ["---"] * 3]
    lines += [
        [row["method"], row["by_definition"], f"{row['forwards']:.2g}"]
        for row in result["rows"]
        if row["method"] != "random"
    ]
    said = (
        f"{_title(result['backbone'])}, S = {len(result['sparsities'])} sparsities, "
        f"{result['batch']} images, {result['repeats']} turns, {result['statistic']}; "
        f"beside other work on {_machine(result['hardware'])}."
    )
    return [*map(_line, lines), "", *_wrapped(said)]


def discard_curves(result: dict[str, Any]) -> list[str]:
    """One line a benchmark's size: time and memory of its curves with intervals."""
    lines = [["size of", "images", "comparisons", "time", "peak memory"], ["---"] * 5]
    lines += [
        [
            row["setting"],
            f"{row['images']:,}",
            f"{row['comparisons']:,}",
            f"{row['total_s']:.0f} s",
            f"{row['peak_bytes'] / 1e9:.1f} GB",
        ]
        for row in result["rows"]
    ]
    said = (
        f"{result['qualities']} qualities, {len(result['protocols'])} protocols, "
        f"{result['replicates']} replicates, simulated similarities; "
        f"{_machine(result['hardware'])}."
    )
    return [*map(_line, lines), "", *_wrapped(said)]


def theory_table(result: dict[str, Any]) -> list[str]:
    """One line for what is measured beyond first order, one column a network."""
    rows = result["rows"]
    networks = list(dict.fromkeys(row["network"] for row in rows))
    header = ["what", "counted", *map(_title, networks)]
    lines = [header, ["---"] * len(header)]
    for what in dict.fromkeys(row["what"] for row in rows):
        own = {row["network"]: row for row in rows if row["what"] == what}
        counted = dict.fromkeys(row["counted"] for row in own.values())
        cells = [what, " or ".join(f"{number:g}" for number in counted)]
        for network in networks:
            row = own.get(network)
            cells.append("" if row is None else ranged(row["forwards"]))
        lines.append(cells)
    return [_line(cells) for cells in lines]


def theory_conditions(result: dict[str, Any]) -> list[str]:
    """Say how they were timed, and which take more than they should."""
    above = [
        f"{row['what']} on {_title(row['network'])} (at most {row['at_most']:g})"
        for row in result["rows"]
        if row["at_most"] is not None and row["forwards"]["median"] > row["at_most"]
    ]
    turns = sorted({len(row["forwards"]["all"]) for row in result["rows"]})
    said = (
        f"{result['batch']} images, {_either(turns)} turns, medians with least and "
        f"greatest; {_machine(result['hardware'])}. A sweep here is of "
        f"{len(result['sparsities_of_sweeps'])} sparsities. "
    )
    goals = {
        f"{row['what'].removesuffix(', in a sweep')} {row['at_most']:g}": None
        for row in result["rows"]
        if row["at_most"] is not None
    }
    said += f"Goals in a sweep, at most: {', '.join(goals)}; "
    said += f"above them: {', '.join(above)}." if above else "all are met."
    return _wrapped(said)


def theory_run(result: dict[str, Any]) -> list[str]:
    """Say how long a whole sweep with all measurements of the table takes."""
    words = ",".join(result["with"])
    cold, warm = (
        f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
        for seconds in (round(result[f"{state}_s"]) for state in ("cold", "warm"))
    )
    said = (
        f"A whole sweep `--with {words}` of {result['images']} faces with "
        f"{_title(result['backbone'])} at {len(result['sparsities'])} sparsities takes "
        f"{cold} min, or {warm} min once its programs are compiled; "
        f"{_machine(result['hardware'])} (`python experiments/timings/theory_run.py`)."
    )
    return _wrapped(said)


MADE: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "sweep table": sweep_table,
    "sweep conditions": sweep_conditions,
    "forward table": forward_table,
    "forward conditions": forward_conditions,
    "loading": loading,
    "scaling": scaling,
    "precision": precision,
    "quality cost": quality_cost,
    "discard curves": discard_curves,
    "theory table": theory_table,
    "theory conditions": theory_conditions,
    "theory run": theory_run,
}


def _compared(row: dict[str, Any]) -> bool:
    return "version" in row.get("pytorch", {})


def _opponent(theirs: dict[str, Any], name: str) -> str:
    about = theirs.get(name, {})
    if "cost_forwards" not in about:
        return "none" if "left_out" in theirs else ""
    kind = f"{about['name']}: " if "name" in about else ""
    over = ranged(about["time_over_ours"], 2)
    return f"{kind}{ranged(about['cost_forwards'])} ({over} ×)"


def _milliseconds(found: dict[str, Any]) -> str:
    return ranged({k: 1e3 * found[k] for k in ("median", "low", "high")}, 0) + " ms"


def _machine(hardware: dict[str, Any]) -> str:
    return (
        f"{hardware['usable_cores']} cores of an {hardware['cpu']} with "
        f"{hardware['memory_bytes'] / 1e9:.0f} GB"
    )


def _either(numbers: list[int]) -> str:
    return " or ".join(map(str, numbers))


def _hundreds(rate: float) -> str:
    return f"{100 * round(rate / 100):,}"


def _percent(shares: list[float]) -> str:
    low, high = (
        f"{100 * share:{'.1g' if share < 0.01 else '.0f'}}"
        for share in (min(shares), max(shares))
    )
    return f"{low} %" if low == high else f"{low} to {high} %"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 88, break_long_words=False, break_on_hyphens=False)


def _title(network: str) -> str:
    return TITLES.get(network, network)


def _line(cells: list[str]) -> str:
    if set(cells) == {"---"}:
        return "|" + "---|" * len(cells)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
