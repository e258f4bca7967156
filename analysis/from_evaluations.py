"""What the scripts share that ask evaluations, folders of ``prefiqs edc``.

Scores and embeddings are those that the folder kept, so nothing is computed again but
areas under error-versus-discard curves. Rate, protocol and limit are the evaluation's;
of its rates, the highest at which there are errors enough to tell qualities apart.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from in_words import most, title, told
from measured import Level, Measured, Values, levels
from numpy.typing import NDArray

from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation.benchmarks import as_folder
from prefiqs_jax.evaluation.folder import MEASURED
from prefiqs_jax.evaluation.measure import read_measured
from prefiqs_jax.evaluation.page import PAGE
from prefiqs_jax.fiqa import Pairs, all_pairs, edc_replicates
from prefiqs_jax.images.folder import IDENTITY_TABLE
from prefiqs_jax.results import read_manifest, with_image_columns
from prefiqs_jax.statistics.jackknife import MOST_GROUPS
from prefiqs_jax.terminal import say

if TYPE_CHECKING:
    import pandas as pd

PREFIQS, FIRST_ORDER = "prefiqs", "first-order"
PAPER = 0.4
"""Sparsity of the paper."""
SWEPT = (PREFIQS, FIRST_ORDER)
"""Methods whose qualities have a sparsity in their name."""
WORDS = {PREFIQS: "PreFIQs", FIRST_ORDER: "first order"}


class Setting(NamedTuple):
    """How errors are counted."""

    fmr: float
    protocol: str
    max_discard: float
    errors: int
    """False non-matches before any discard."""
    fnmr_start: float
    """The same as a rate."""


class Verified(NamedTuple):
    """A benchmark, the network that verifies, and the scores of all."""

    measured: Measured
    """A row for each image; of the network that verifies."""
    pairs: Pairs
    scores: Mapping[str, Mapping[str, Values]]
    """Of each network that scored: qualities by name, in the order of the rows."""
    setting: Setting

    @property
    def run(self) -> str:
        """Name of folder, benchmark and network."""
        return self.measured.run

    @property
    def verifier(self) -> str:
        """Name of the network that verifies."""
        return str(self.measured.rows["backbone"].iloc[0])

    def qualities(self) -> set[str]:
        """Give the names of all qualities of all networks."""
        return {name for own in self.scores.values() for name in own}

    @property
    def people(self) -> NDArray[np.str_]:
        """Give who is on each image."""
        return self.measured.rows["identity"].to_numpy(str)

    def levels(self) -> dict[str, Level]:
        """Give all images, and clean and degraded ones; the index of rows is a place.

        Replicates are those of :meth:`areas`: all people, then without each.
        """
        return {each.stratum: each for each in levels(self.measured)}

    def areas(
        self,
        quality: Mapping[str, Values],
        chosen: NDArray[np.bool_] | None = None,
    ) -> Values:
        """Compute areas of these qualities; of the images ``chosen``, or all.

        Shape (qualities, replicates): all people, then without each of those chosen.
        """
        pairs = self.pairs
        if chosen is not None:
            both = chosen[pairs.first] & chosen[pairs.second]
            pairs = Pairs(*(column[both] for column in pairs))
        (found,) = edc_replicates(
            pairs,
            self.people,
            quality,
            fmrs=(self.setting.fmr,),
            protocols=(self.setting.protocol,),
            discard_fraction=(0.0,),
            max_discards=(self.setting.max_discard,),
            replicates=MOST_GROUPS,
            method="jackknife",
        )
        return found.pauc[:, :, 0]

    def described(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """Add how errors were counted."""
        return table.assign(**self.setting._asdict())


def open_evaluations(paths: Sequence[Path], needs: Sequence[str]) -> list[Verified]:
    """Read folders of ``prefiqs edc``: a record for each benchmark and verifier.

    Benchmarks that list their comparisons are left out, and those with too few errors,
    which is said. Raises InputError if a folder is no finished evaluation, lacks a
    method of ``needs``, nothing is left of it, or two have one name.
    """
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len(names):
        message = "two evaluations have one name; rename a folder"
        raise InputError(message)
    found = []
    for path, name in zip(paths, names, strict=True):
        areas = _read_areas(path)
        own = [
            record
            for benchmark, part in areas.groupby("benchmark", sort=False)
            for record in _verified(path, f"{name}/{benchmark}", str(benchmark), part)
        ]
        if not own:
            message = (
                f"{path} has no benchmark of all pairs with enough errors; evaluate "
                "more faces, or at a higher --fmr"
            )
            raise InputError(message)
        scored = {quality for record in own for quality in record.qualities()}
        for method in needs:
            if not any(quality.startswith(f"{method}/") for quality in scored):
                message = f"{path} lacks {method}; run prefiqs edc with --methods"
                raise InputError(message)
        found += own
    return found


def _read_areas(path: Path) -> "pd.DataFrame":
    import pandas as pd

    table = path / "tables/areas.csv"
    if not ((path / PAGE).exists() and table.exists()):
        message = f"{path} is no finished evaluation; give a folder of prefiqs edc"
        raise InputError(message)
    try:
        areas = pd.read_csv(table, dtype={"benchmark": str, "verifier": str})
        columns = ["benchmark", "verifier", "fmr", "protocol", "max_discard"]
        return areas.loc[:, [*columns, "errors", "fnmr_start", "tells"]]
    except (OSError, ValueError, KeyError) as error:
        message = f"{table} cannot be read ({error}); run prefiqs edc again"
        raise InputError(message) from None


def _verified(
    path: Path, name: str, benchmark: str, areas: "pd.DataFrame"
) -> list[Verified]:
    """Make the records of a benchmark, or say why there are none."""
    import pandas as pd

    folder = path / MEASURED / as_folder(benchmark)
    if not (folder / IDENTITY_TABLE).exists():
        say(
            f"{name}: left out, as {folder} has no {IDENTITY_TABLE}; if these are all "
            "pairs of a folder of faces, run the same prefiqs edc again"
        )
        return []
    networks = dict.fromkeys(areas["verifier"])
    kept = {network: read_measured(folder / as_folder(network)) for network in networks}
    usable = sorted(set.intersection(*(set(each.names) for each in kept.values())))
    rows = with_image_columns(pd.DataFrame({"image": usable, "sparsity": 0.0}))
    rows = rows.assign(below_rounding=False)
    if "copy_of" not in rows:
        rows = rows.assign(copy_of=rows["image"])
    # As text: 1 and 01 may be two people.
    who = pd.read_csv(folder / IDENTITY_TABLE, dtype=str, keep_default_na=False)
    identity = dict(zip(who["file"], who["identity"], strict=True))
    rows = rows.assign(identity=[identity[name] for name in rows["copy_of"]])
    found = []
    for network, own in kept.items():
        lines = areas.loc[(areas["verifier"] == network) & areas["tells"]]
        run = f"{name}/{network}"
        if not len(lines):
            say(f"{run}: left out, as it has too few errors to compare qualities")
            continue
        line = lines.loc[lines["fmr"].idxmax()]
        setting = Setting(*(line[field] for field in Setting._fields))
        manifest = read_manifest(folder / as_folder(network))
        measured = Measured(
            run,
            manifest["settings"].get("mask", ""),
            rows.assign(backbone=network),
            {},
            manifest,
            0.0,
        )
        pairs = all_pairs(own.embeddings[own.rows_of(usable)], rows["identity"])
        capture = rows["copy_of"].to_numpy(str)
        apart = capture[pairs.first] != capture[pairs.second]
        pairs = Pairs(*(column[apart] for column in pairs))
        scores = {
            other: {
                q: values[each.rows_of(usable)] for q, values in each.scores.items()
            }
            for other, each in kept.items()
            if each.scores
        }
        found.append(Verified(measured, pairs, scores, setting))
    return found


def split_name(quality: str) -> tuple[str, float]:
    """Split method and sparsity; NaN if it has none.

    >>> split_name("prefiqs/0.4"), split_name("grafiqs/image")
    (('prefiqs', 0.4), ('grafiqs/image', nan))
    """
    method, _, sparsity = quality.partition("/")
    return (method, float(sparsity)) if method in SWEPT else (quality, np.nan)


def front(part: "pd.DataFrame") -> dict[str, str]:
    """Say of which run, network and images a row is, and how errors are counted."""
    first = part.iloc[0]
    errors = f"{first['errors']:,} ({first['fnmr_start']:.0%})"
    return {
        "run": title(part),
        "images": f"{most(part, 'images')} of {most(part, 'people')} people",
        "false non-matches": f"{errors} at FMR {first['fmr']:g}",
        "discarded": f"up to {first['max_discard']:.0%}",
    }


PAUC = """\
False non-matches: of the network that verifies, before any discard. pAUC × 10³: area
under their rate over the discarded fraction of comparisons, up to the one that is said;
lower is better."""
"""What the areas of a legend are."""


def thousandths(line: Any, form: str = ".2f") -> str:
    """Write an area, or a difference of two, with its interval, times 1000.

    >>> thousandths({"value": 0.00214, "low": 0.001, "high": 0.0041})
    '2.14 [1.00, 4.10]'
    """
    return told({name: 1e3 * line[name] for name in ("value", "low", "high")}, form)
