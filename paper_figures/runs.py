"""What the given folders hold, told by their content: sweeps, evaluations, masks."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from prefiqs_jax import results
from prefiqs_jax.errors import InputError
from prefiqs_jax.evaluation.folder import MARKER, MEASURED
from prefiqs_jax.report.on_request import kinds_of
from prefiqs_jax.report.tables import run_tables

AREAS = "benchmark kind verifier scorer quality protocol fmr max_discard pauc low high"
AREAS += " reference is_reference differs tells"
CURVES = (
    "benchmark verifier scorer quality protocol fmr discard_fraction fnmr threshold"
)
CURVES += " mated_count non_mated_count low high tells"
VERIFICATION = "benchmark verifier eer fmr fnmr tells"
PRUNED = "benchmark verifier mask sparsity accuracy accuracy_low accuracy_high eer"
MASKS = "mask sparsity mean_drift delta_norm_relative"


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A run of ``prefiqs sweep`` with one mask."""

    name: str
    """Of its folder."""
    manifest: Mapping[str, Any]
    rows: pd.DataFrame

    @property
    def label(self) -> str:
        """Network and mask."""
        return f"{self.rows['backbone'].iloc[0]}, {self.rows['mask'].iloc[0]}"

    @functools.cached_property
    def known(self) -> pd.DataFrame:
        """Its rows, with what their names say of degraded copies."""
        return results.with_image_columns(self.rows)

    @functools.cached_property
    def tables(self) -> dict[str, pd.DataFrame]:
        """Tables of its report, see :func:`prefiqs_jax.report.tables.run_tables`."""
        return run_tables(self.rows, self.known, dict(self.manifest))

    @property
    def kinds(self) -> dict[str, str] | None:
        """Whether each image is clean or degraded, where that is known."""
        return kinds_of(self.known)


class Evaluation(NamedTuple):
    """A folder of ``prefiqs edc``."""

    name: str
    mask: str
    """Of its qualities ``prefiqs`` and ``first-order``; empty if it has none."""
    areas: pd.DataFrame
    curves: pd.DataFrame
    verification: pd.DataFrame
    pruned: pd.DataFrame | None
    """Errors of pruned networks; None where none verified."""


class Comparison(NamedTuple):
    """A folder of ``prefiqs compare-masks``."""

    name: str
    masks: pd.DataFrame
    """Statistics of each mask and sparsity."""


class Material(NamedTuple):
    """All that the folders hold, in the order given."""

    sweeps: tuple[Sweep, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


def open_runs(folders: Sequence[Path]) -> Material:
    """Read what each folder holds.

    Raises InputError if one is none of these, is not finished or damaged, or two have
    one name.
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        message = f"{', '.join(names)}: two runs have one name; rename one folder"
        raise InputError(message)
    found = [_open(folder, name) for folder, name in zip(folders, names, strict=True)]
    return Material(
        tuple(each for each in found if isinstance(each, Sweep)),
        tuple(each for each in found if isinstance(each, Evaluation)),
        tuple(each for each in found if isinstance(each, Comparison)),
    )


def _open(folder: Path, name: str) -> Sweep | Evaluation | Comparison:
    if (folder / MARKER).exists():
        tables = [
            _read(folder / "tables" / f"{table}.csv", columns)
            for table, columns in (
                ("areas", AREAS),
                ("curves", CURVES),
                ("verification", VERIFICATION),
            )
        ]
        pruned = folder / "tables/pruned_verification.csv"
        own = _read(pruned, PRUNED) if pruned.exists() else None
        return Evaluation(name, _mask_of(folder), *tables, pruned=own)
    if (folder / "comparison").exists():
        return Comparison(name, _read(folder / "comparison/tables/masks.csv", MASKS))
    manifest = results.read_manifest(folder)
    rows = results.read(folder)
    settings = manifest.get("settings") or {}
    if len(set(rows["mask"])) > 1:
        message = f"{folder} has several masks; run prefiqs compare-masks to its end"
        raise InputError(message)
    if settings.get("is_change"):
        message = (
            f"{folder} is of a change that is no mask, which has no sparsities to draw "
            "over; leave it out (prefiqs report has its figures)"
        )
        raise InputError(message)
    return Sweep(name, manifest, rows)


def _mask_of(folder: Path) -> str:
    """Find the mask of an evaluation's qualities in what its networks measured."""
    manifests = [
        results.read_manifest(path.parent)
        for path in sorted(folder.glob(f"{MEASURED}/*/*/run.json"))
    ]
    masks = {str((each.get("settings") or {}).get("mask") or "") for each in manifests}
    return max(masks, default="")  # of networks that do not score it is empty


def _read(path: Path, columns: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(path)
    except FileNotFoundError:
        message = f"{path} is missing; run the command that made its folder to its end"
        raise InputError(message) from None
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        message = f"{path} cannot be read ({why}); run the command of its folder again"
        raise InputError(message) from None
    absent = [name for name in columns.split() if name not in table]
    if absent:
        message = (
            f"{path} has no column {absent[0]}; it is of another version of prefiqs: "
            "run the command that made its folder again"
        )
        raise InputError(message)
    return table
