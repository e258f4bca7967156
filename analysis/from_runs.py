"""What the scripts of this folder share: runs in; table, figure and finding out.

A script measures each network and mask of its runs (lines of one table, with intervals
over people), says the result of all of them in two sentences made of those lines, lays
the numbers that matter out, a row for each run and mask, and draws them. With
``--findings`` it also renews its section of a page such as ``docs/findings.md``, and
the table and figure in the folder of that name beside it.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from findings_page import renew, section
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from prefiqs_jax import plots
from prefiqs_jax.errors import InputError
from prefiqs_jax.outputs import write_outputs
from prefiqs_jax.plots.theme import look
from prefiqs_jax.report.rounded import rounding_of
from prefiqs_jax.results import read, read_manifest, with_image_columns
from prefiqs_jax.statistics import (
    FEWEST_FOR_INTERVAL,
    deletion_groups,
    with_derived,
    without_each,
)
from prefiqs_jax.statistics.jackknife import is_one
from prefiqs_jax.statistics.simultaneous import simultaneous_intervals
from prefiqs_jax.statistics.weighted import ratio

if TYPE_CHECKING:
    import pandas as pd

Values = NDArray[np.float64]

FEWEST_IMAGES = 5
"""Images below which a stratum gets no line."""
SHOWN = 0.3
"""Sparsity that is drawn where only one is, or the nearest to it."""
_SCALES: dict[str, tuple[Callable[[Values], Values], Callable[[Values], Values]]] = {
    "linear": (np.asarray, np.asarray),
    "log": (np.log, np.exp),
    "fisher": (lambda r: np.arctanh(np.where(is_one(r), np.nan, r)), np.tanh),
    # Of shares and areas under ROC curves: artanh(2 p - 1) is half the logit of p.
    "logit": (
        lambda p: np.arctanh(np.where(is_one(2 * p - 1), np.nan, 2 * p - 1)),
        lambda x: (1 + np.tanh(x)) / 2,
    ),
}
"""On which intervals are symmetric, and back; a number at the end of one has none."""


class Measured(NamedTuple):
    """One network and mask of a run."""

    run: str
    """Name of the run's folder."""
    mask: str
    rows: "pd.DataFrame"
    """With what is derived, copy_of, and severity where there are degraded copies."""
    tables: dict[str, "pd.DataFrame"]
    """Lines of the same mask."""
    manifest: dict[str, Any]
    rounding: float
    """Largest change of an embedding that is rounding."""

    def groups(self) -> "pd.Series":
        """Give each image the number of what is left out with it: all of a person."""
        import pandas as pd

        images = self.rows.drop_duplicates("image").sort_values("image")
        by = "identity" if bool(images["identity"].notna().all()) else "copy_of"
        codes, _ = pd.factorize(images[by], sort=True)
        return pd.Series(deletion_groups(codes), index=images["image"].to_numpy())

    def indices(self) -> list[int]:
        """Give the places of the mask's sparsities in the lists of run.json."""
        masks = self.manifest.get("masks")
        if not masks:
            return list(range(len(self.manifest["settings"]["sparsities"])))
        return [place for place, mask in enumerate(masks) if mask == self.mask]


class Level(NamedTuple):
    """The images of one sparsity and stratum that moved by more than rounding."""

    sparsity: float
    stratum: str
    rows: "pd.DataFrame"
    weights: Values
    """Shape (replicates, images): all people, then without each."""

    def mean(self, values: Values) -> Values:
        """Average over the images of each replicate."""
        return ratio(self.weights @ values, self.weights.sum(axis=1))

    def at(self, places: NDArray[Any]) -> "Level":
        """Choose images, by their places or by a mask."""
        return self._replace(
            rows=self.rows.iloc[places], weights=self.weights[:, places]
        )

    def column(self, name: str) -> Values:
        """Give a column of the rows."""
        return self.rows[name].to_numpy(np.float64)


def strata(rows: "pd.DataFrame") -> dict[str, NDArray[np.bool_]]:
    """Tell all images, and where there are degraded copies, clean from degraded ones.

    >>> import pandas as pd
    >>> strata(pd.DataFrame({"severity": [0, 0.5]}))["degraded"]
    array([False,  True])
    """
    found = {"all": np.ones(len(rows), bool)}
    if "severity" in rows:
        degraded = rows["severity"].to_numpy(np.float64) > 0
        found |= {"clean": ~degraded, "degraded": degraded}
    return found


def levels(measured: Measured) -> Iterator[Level]:
    """Go through sparsities and strata; one with few images that moved is left out."""
    groups = measured.groups()
    count = int(groups.max()) + 1
    rows = measured.rows.loc[~measured.rows["below_rounding"]]
    for sparsity, part in rows.groupby("sparsity"):
        part = part.sort_values("image")
        for name, chosen in strata(part).items():
            if chosen.sum() >= FEWEST_IMAGES:
                own = part.loc[chosen]
                codes = groups.loc[own["image"].tolist()].to_numpy()
                whole = np.ones((1, len(own)))
                weights = np.concatenate([whole, without_each(codes, 0, count)])
                yield Level(float(str(sparsity)), name, own, weights)


def pairs(level: Level) -> NDArray[np.int_]:
    """Give the places of degraded copies, and those of their originals: two rows."""
    place = {name: i for i, name in enumerate(level.rows["image"])}
    both = zip(level.rows["image"], level.rows["copy_of"], strict=True)
    found = [(place[a], place[b]) for a, b in both if a != b and b in place]
    return np.array(found, int).reshape(-1, 2).T


class Lines:
    """Lines of a table; intervals of one statistic hold together (max-t)."""

    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        self._lines: list[dict[str, Any]] = []
        self._values: list[Values] = []
        self._scales: list[str] = []

    def add(
        self, level: Level, statistic: str, of: str, values: Values, scale: str
    ) -> None:
        """Add a line: its value, then the same without each person."""
        rows = level.rows
        self._values.append(values)
        self._scales.append(scale)
        self._lines.append(
            {
                "stratum": level.stratum,
                "sparsity": level.sparsity,
                "statistic": statistic,
                "of": of,
                "value": values[0],
                "images": len(rows),
                "people": int((level.weights[1:] == 0).any(axis=1).sum()),
            }
        )

    def table(self) -> "pd.DataFrame":
        """Give columns run, backbone, mask, those of a line, low and high."""
        import pandas as pd

        if not self._lines:
            message = (
                f"{self._measured.run}: no sparsity has {FEWEST_IMAGES} images that "
                "moved; sweep more images"
            )
            raise InputError(message)
        table = pd.DataFrame(self._lines).assign(low=np.nan, high=np.nan)
        for _, places in table.groupby("statistic").indices.items():
            forward, back = _SCALES[self._scales[places[0]]]
            values = np.stack([self._values[place] for place in places], axis=1)
            if len(values) - 1 < FEWEST_FOR_INTERVAL:
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                scaled = forward(values)
            scaled = np.where(np.isfinite(scaled), scaled, np.nan)
            low, high = simultaneous_intervals(scaled, "jackknife")
            table.loc[places, "low"] = back(low)
            table.loc[places, "high"] = back(high)
        return labelled(table, self._measured)


def labelled(table: "pd.DataFrame", measured: Measured) -> "pd.DataFrame":
    """Put run, backbone and mask of a record in front."""
    backbone = str(measured.rows["backbone"].iloc[0])
    return in_front(table, measured.run, backbone, measured.mask)


def in_front(
    table: "pd.DataFrame", run: str, backbone: str, mask: str
) -> "pd.DataFrame":
    """Put run, backbone and mask in front."""
    front = {"run": run, "backbone": backbone, "mask": mask}
    for place, (name, value) in enumerate(front.items()):
        table.insert(place, name, value)
    return table


def pick(table: "pd.DataFrame", **keys: Any) -> "pd.DataFrame":
    """Choose lines by the values of columns."""
    for name, value in keys.items():
        table = table.loc[table[name] == value]
    return table


def main_stratum(table: "pd.DataFrame") -> str:
    """Name the stratum that is spoken of: clean images where they are known."""
    return "clean" if "clean" in set(table["stratum"]) else "all"


def nearest(sparsities: Iterable[float]) -> float:
    """Choose the sparsity that is drawn where only one is."""
    return min(sparsities, key=lambda sparsity: abs(sparsity - SHOWN))


def most(table: "pd.DataFrame", name: str) -> int:
    """Give the largest count of a column."""
    return int(np.max(table[name].to_numpy()))


def told(line: Any, form: str = ".2g") -> str:
    """Write a value with its interval.

    >>> told({"value": 0.3512, "low": 0.33, "high": 0.372})
    '0.35 [0.33, 0.37]'
    >>> told({"value": 0.2, "low": float("nan"), "high": float("nan")}, ".0%")
    '20% (no interval)'
    """
    if not np.isfinite([line["low"], line["high"]]).all():
        return f"{line['value']:{form}} (no interval)"
    return f"{line['value']:{form}} [{line['low']:{form}}, {line['high']:{form}}]"


def from_to(lines: Sequence[Any], form: str) -> str:
    """Write the values at the lowest and the highest sparsity, or the only one.

    >>> lines = [{"value": v, "low": 0.1, "high": 0.3, "sparsity": v} for v in (1, 2)]
    >>> from_to(lines, ".1f"), from_to(lines[:1], ".1f")
    ('1.0 [0.1, 0.3] → 2.0 [0.1, 0.3]', '1.0 [0.1, 0.3]')
    >>> from_to([], ".1f")
    '–'
    """
    ordered = sorted(lines, key=lambda line: line["sparsity"])
    each = [told(line, form) for line in ordered]
    return " → ".join([each[0], *each[1:][-1:]]) if each else "–"


def span(values: Iterable[float], form: str) -> str:
    """Write the least and the largest value.

    >>> span([0.4, 0.7, float("nan")], ".1f"), span([2], "g"), span([], "g")
    ('0.4 to 0.7', '2', '–')
    """
    known = [value for value in values if not np.isnan(value)]
    if not known:
        return "–"
    both = [format(min(known), form), format(max(known), form)]
    return both[0] if both[0] == both[1] else " to ".join(both)


def at_ends(runs: Iterable[Sequence[Any]], form: str) -> str:
    """Write the span over runs of the values at the lowest and at the highest sparsity.

    >>> runs = [[{"value": 1}, {"value": 3}], [{"value": 2}, {"value": 3}], []]
    >>> at_ends(runs, "g"), at_ends([runs[0][:1]], "g")
    ('1 to 2 at the lowest sparsity and 3 at the highest', '1')
    """
    known = [lines for lines in runs if lines]
    low, high = (
        span([lines[end]["value"] for lines in known], form) for end in (0, -1)
    )
    if all(len(lines) == 1 for lines in known):
        return low
    return f"{low} at the lowest sparsity and {high} at the highest"


def told_count(lines: Iterable[Any]) -> str:
    """Count the lines with an interval, which alone can be significant.

    >>> line = {"low": 1.0, "high": 2.0}
    >>> told_count([line, line | {"low": float("nan")}]), told_count([])
    ('1', '0 (no intervals)')
    """
    known = [x for x in lines if np.isfinite([x["low"], x["high"]]).all()]
    return f"{len(known)}" if known else "0 (no intervals)"


def listed(words: Sequence[str]) -> str:
    """Join words.

    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def records(table: "pd.DataFrame", **keys: Any) -> list[dict[Any, Any]]:
    """Choose lines by the values of columns, in the order of their sparsity."""
    return pick(table, **keys).sort_values("sparsity", kind="stable").to_dict("records")


def whiskers(
    ax: Axes, lines: "pd.DataFrame", place: int, count: int, **look: Any
) -> None:
    """Draw values over sparsity with intervals, as one of several curves.

    Its points stand a little aside, so that whiskers do not hide each other.
    """
    value, low, high, sparsity = (
        lines[name].to_numpy(np.float64)
        for name in ("value", "low", "high", "sparsity")
    )
    x = sparsity * 1.04 ** (place - (count - 1) / 2)
    known = np.isfinite(low) & np.isfinite(high)
    colour = look.get("color")
    ax.vlines(x[known], low[known], high[known], color=colour, lw=0.9, clip_on=False)
    ax.plot(x, value, lw=0.7, ms=3.2, clip_on=False, **look)


def strata_curves(ax: Axes, part: "pd.DataFrame", statistic: str) -> None:
    """Draw a statistic of clean and of degraded images, or of all, over sparsity."""
    names = [n for n in ("clean", "degraded") if n in set(part["stratum"])] or ["all"]
    for place, name in enumerate(names):
        lines = pick(part, statistic=statistic, stratum=name)
        label = f"{name} (n = {most(lines, 'images')})"
        whiskers(ax, lines, place, len(names), label=label, **look(place))


def ratio_axis(ax: Axes) -> None:
    """Make the upward axis that of ratios, in powers of two around 1."""
    ax.axhline(1, color="0.5", lw=0.7, ls="--", zorder=0)
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_yticks((0.125, 0.25, 0.5, 1, 2, 4, 8))
    ax.set_ylim(min(low, 0.5), max(high, 2))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.yaxis.set_minor_locator(NullLocator())


def label_sparsities(ax: Axes, table: "pd.DataFrame") -> None:
    """Put the sparsities that were swept on a logarithmic axis."""
    swept = np.unique(table["sparsity"].dropna().to_numpy(np.float64)).tolist()
    ax.set_xscale("log")
    ax.set_xticks(swept, [f"{tick:g}" for tick in swept])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="sparsity", xlim=(0.88 * swept[0], 1.14 * swept[-1]))


def legend_over(ax: Axes, columns: int) -> None:
    """Put the legend above the axes and their title."""
    place: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.1)}
    ax.legend(**place, ncols=columns, handlelength=1.4, columnspacing=0.9)


def heading(part: "pd.DataFrame") -> str:
    """Name a run above its panels, with its images and people."""
    own = pick(part, stratum=main_stratum(part))
    kind = "clean images" if main_stratum(part) == "clean" else "images"
    return f"{title(part)}\n{most(own, 'images')} {kind}, {most(own, 'people')} people"


def title(part: "pd.DataFrame") -> str:
    """Name run, network and mask, each once.

    >>> import pandas as pd
    >>> title(pd.DataFrame({"run": ["att"], "backbone": "sface", "mask": "2:4/snip"}))
    'att (sface), 2:4/snip'
    """
    run, backbone, mask = (
        str(part[name].iloc[0]) for name in ("run", "backbone", "mask")
    )
    run = run.removesuffix("_" + mask.replace("/", "_"))
    network = "" if run in backbone or backbone in run else f" ({backbone})"
    return f"{run}{network}, {mask}"


def rows_of(table: "pd.DataFrame", *by: str) -> list["pd.DataFrame"]:
    """Give the lines of each run and mask, and of each value of more columns."""
    return [part for _, part in table.groupby(["run", "mask", *by], sort=False)]


def asked(part: "pd.DataFrame") -> dict[str, str]:
    """Say which run, network and mask a row is of, and of how many images."""
    own = pick(part, stratum=main_stratum(part))
    kind = " clean" if main_stratum(part) == "clean" else ""
    swept = part["sparsity"].dropna()
    ends = dict.fromkeys((swept.min(), swept.max()))
    return {
        "run": title(part),
        "images": f"{most(own, 'images')}{kind} of {most(own, 'people')} people",
        "sparsity": " → ".join(f"{end:g}" for end in ends),
    }


class Analysis(NamedTuple):
    """A question to runs."""

    name: str
    """Name of its files."""
    title: str
    needs: tuple[str, ...]
    """What the runs must have been swept with."""
    measure: Callable[[Any], "pd.DataFrame"]
    """Is given a record that was read: a :class:`Measured`, unless said otherwise."""
    finding: Callable[["pd.DataFrame"], str]
    """Two sentences; is given the lines of all runs."""
    row: Callable[["pd.DataFrame"], dict[str, str]]
    """A row of the section's table, cells by heading; is given the lines of one run,
    mask and value of each column of ``by``."""
    legend: str
    """What the headings mean."""
    draw: Callable[[Figure, "pd.DataFrame"], Figure]
    beside: Callable[[Measured], "pd.DataFrame"] | None = None
    """Another table, of its images."""
    beside_name: str = ""
    by: tuple[str, ...] = ()
    """Columns of which each value has a row of its own in the section's table."""
    front: Callable[["pd.DataFrame"], dict[str, str]] = asked
    """The first cells of a row: what it is of."""


def with_groups(rows: "pd.DataFrame", rounding: float) -> "pd.DataFrame":
    """Add what is derived, which images belong together, and how degraded they are."""
    rows = with_derived(with_image_columns(rows), rounding)
    return rows if "copy_of" in rows else rows.assign(copy_of=rows["image"])


def open_runs(paths: Sequence[Path], needs: Sequence[str]) -> list[Measured]:
    """Read runs, a record for each of their masks.

    Raises InputError if a folder is no run, lacks what is needed, or two have one name.
    """
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        message = "two runs have one name; rename a folder"
        raise InputError(message)
    found = []
    for path, name in zip(paths, names, strict=True):
        manifest = read_manifest(path)
        missing = [n for n in needs if n not in manifest["settings"].get("with", [])]
        if missing:
            words = ",".join(missing)
            message = f"{path} lacks {words}; sweep again with --with {words}"
            raise InputError(message)
        rounding = rounding_of(manifest)
        rows = with_groups(read(path), rounding)
        tables = {n: read(path, n) for n in needs if n in manifest.get("labels", {})}
        for mask, own in rows.groupby("mask", sort=False):
            parts = {n: table.loc[table["mask"] == mask] for n, table in tables.items()}
            found.append(Measured(name, str(mask), own, parts, manifest, rounding))
    return found


def findings(analysis: Analysis, table: "pd.DataFrame") -> list[str]:
    """Say what the lines say: two sentences, a row for each run and mask, a legend."""
    parts = rows_of(table, *analysis.by)
    rows = [analysis.front(part) | analysis.row(part) for part in parts]
    return [analysis.finding(table), markdown(rows), analysis.legend]


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Write rows as a table; all have the headings of the first.

    >>> print(markdown([{"a": "1", "b": "2"}]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    heads = list(rows[0])
    lines = [heads, *([_unbroken(row[head]) for head in heads] for row in rows)]
    written = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([written[0], f"|{'---|' * len(heads)}", *written[1:]])


def _unbroken(cell: str) -> str:
    r"""Keep a value and its interval on one line.

    >>> _unbroken("0.1 [0, 0.2] → 0.5 [0.3, 0.7]")
    '0.1\xa0[0,\xa00.2] → 0.5\xa0[0.3,\xa00.7]'
    """
    return re.sub(r"\S+ \[[^]]*\]", lambda found: found[0].replace(" ", "\xa0"), cell)


def as_kept(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Round numbers as their file does, so that the same comes of either."""

    def rounded(value: float) -> float:
        return float(f"{value:.6g}")

    real = rows.select_dtypes("float").columns
    return rows.assign(**{name: rows[name].map(rounded) for name in real})


def write(
    analysis: Analysis,
    table: "pd.DataFrame",
    out: Path,
    page: Path | None = None,
    beside: "pd.DataFrame | None" = None,
) -> list[str]:
    """Write tables, figure and findings; renew the page's section; return findings."""
    table = as_kept(table)
    said = findings(analysis, table)
    with plots.theme():
        figure = analysis.draw(Figure(figsize=(plots.PAGE_IN, 3)), table)
        drawing = plots.Drawing(analysis.name, figure, analysis.title)
        files = plots.figure_files([drawing])
    words = "\n\n".join(said) + "\n"
    tables = {f"{analysis.name}.csv": table}
    if beside is not None:
        tables[f"{analysis.beside_name}.csv"] = beside
    texts = {
        name: each.to_csv(index=False, float_format="%.6g")
        for name, each in tables.items()
    }
    write_outputs(out, {**texts, f"{analysis.name}.txt": words, **files})
    if page is not None:
        png = f"{analysis.name}.png"
        write_outputs(page.with_suffix(""), {**texts, png: files[png]})
        renew(page, section(analysis.title, analysis.name, said, page.stem))
    return said


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where findings go."""
    parser.add_argument("--out", type=Path, metavar="DIR", required=True)
    parser.add_argument(
        "--findings", type=Path, metavar="FILE.md", help="page whose section is renewed"
    )


def _kept(page: Path | None, name: str, runs: Sequence[Any]) -> list["pd.DataFrame"]:
    """Read the lines of other runs from a table beside the page."""
    import pandas as pd

    path = page and page.with_suffix("") / f"{name}.csv"
    if path is None or not path.exists():
        return []
    try:
        kept = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read ({error}); leave --add out"
        raise InputError(message) from None
    return [kept.loc[~kept["run"].isin([run.run for run in runs])]]


def main(
    analysis: Analysis,
    words: str | None,
    arguments: Sequence[str] | None,
    opened: Callable[[Sequence[Path], Sequence[str]], Sequence[Any]] = open_runs,
) -> int:
    """Write the table, the figure and the finding; return the exit status.

    ``opened`` reads the folders that are given, and makes the records to measure.
    """
    import pandas as pd

    parser = argparse.ArgumentParser(description=(words or "").split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    add_output(parser)
    parser.add_argument(
        "--add",
        action="store_true",
        help="keep the lines of other runs that the table of the page has",
    )
    options = parser.parse_args(arguments)
    try:
        runs = opened(options.runs, analysis.needs)
        page = options.findings if options.add else None
        tables = [analysis.measure(run) for run in runs]
        table = pd.concat([*_kept(page, analysis.name, runs), *tables])
        beside = None
        if analysis.beside is not None:
            kept = _kept(page, analysis.beside_name, runs)
            beside = pd.concat([*kept, *map(analysis.beside, runs)])
        table = table.reset_index(drop=True)
        said = write(analysis, table, options.out, options.findings, beside)
        print("\n\n".join(said))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(options.out)
    return 0
