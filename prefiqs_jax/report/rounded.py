"""What the precision of a run does to its numbers, from its ``run.json``."""

from typing import Any

from prefiqs_jax.execution.precision import DEFAULT_PRECISION, MEANING
from prefiqs_jax.report.finding import percent
from prefiqs_jax.statistics import ROUNDING, ROUNDING_AT


def rounding_of(manifest: dict[str, Any]) -> float:
    """Give the largest change of an embedding that is rounding in this run.

    That of its precision, see :data:`prefiqs_jax.statistics.ROUNDING_AT`, or of float32
    where the run found its device to lose nothing against it.
    """
    errors = _errors(manifest)
    if errors and not any(each["largest"] for each in errors.values()):
        return ROUNDING
    return ROUNDING_AT.get(_precision(manifest), ROUNDING)


def precision_note(manifest: dict[str, Any]) -> list[str]:
    r"""Say how far the precision moves the numbers; nothing where it is float32.

    Examples
    --------
    >>> error = {"median": 0.01, "largest": 0.05}
    >>> session = {"precision_error": {"images": 8, "first_order": error,
    ...     "drift": error}}
    >>> [note] = precision_note({"settings": {"precision": "fast"},
    ...     "sessions": [session]})
    >>> "moves the first order by 1.0 % (at most 5.0 %)" in note.replace("\xa0", " ")
    True
    """
    precision, rounding = _precision(manifest), rounding_of(manifest)
    if rounding <= ROUNDING:
        return []
    errors = _errors(manifest)
    moved = "how far it moves the numbers from those of float32 was not recorded"
    if errors:
        moved = "against float32 it moves " + " and ".join(
            f"the {name.replace('_', ' ')} by {percent(error['median'])} "
            f"(at most {percent(error['largest'])})"
            for name, error in errors.items()
        )
    return [
        f"Precision {precision} ({MEANING[precision]}): {moved}. Changes of at most "
        f"{rounding:g} are left out as rounding; of larger ones up to a tenth may be "
        "rounding, and then so is that much of the relative residual: no fault of the "
        "first order."
    ]


def setting_of(manifest: dict[str, Any], name: str, unknown: Any = None) -> Any:
    """Give a setting that ``run.json`` may lack."""
    return (manifest.get("settings") or {}).get(name, unknown)


def _precision(manifest: dict[str, Any]) -> Any:
    return setting_of(manifest, "precision", DEFAULT_PRECISION)


def _errors(manifest: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Give the largest errors that any session recorded, by column."""
    known = [s.get("precision_error") for s in manifest.get("sessions") or []]
    known = [error for error in known if error]
    return {
        name: {which: max(e[name][which] for e in known) for which in known[0][name]}
        for name in ("first_order", "drift")
        if known
    }
