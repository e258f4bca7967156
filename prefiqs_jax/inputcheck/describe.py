"""Words for a comparison: an aligned table, and the verdict in a line or two."""

from prefiqs_jax.inputcheck.alternatives import scaling
from prefiqs_jax.inputcheck.fits import PreprocessingComparison, PreprocessingFit
from prefiqs_jax.weights.wording import aligned

_EVIDENCE = {
    "identities": "the same person against others",
    "mirrors": "mirror images of an image against those of others",
}


def table(found: PreprocessingComparison) -> list[str]:
    """Write the fits as lines of aligned columns, the stored one first.

    Returns
    -------
    list of str
        Header and one line a fit. The interval is that of the difference to the best.
    """
    header = ["", "channels", "input", "norm", "spread"]
    if found.evidence is not None:
        header += ["d'", "against the best"]
    if found.fmr is not None:
        header += ["EER", f"FNMR at FMR {found.fmr:g}"]
    lines = [header]
    for row in found.rows:
        pixels = row.preprocessing
        channels = "grey" if found.grey == found.images else pixels.channels
        line = ["stored" if row is found.stored else "", channels, scaling(pixels)]
        line += [f"{row.norm:.4g}", f"{row.norm_spread:.1%}"]
        if found.evidence is not None:
            line += [_number(row.separation, ".2f"), _interval(row, found)]
        if found.fmr is not None:
            line += [_number(row.eer, ".2%"), _number(row.fnmr, ".2%")]
        lines.append(line)
    return aligned(lines)


def verdict(found: PreprocessingComparison) -> list[str]:
    """Say which preprocessing fits, on how many images, and what remains open.

    Returns
    -------
    list of str
        The conclusion, and remarks that limit it, a line each.
    """
    images = _count(found.images)
    if found.people:
        images += f" of {found.people} people"
    stored = _listed([found.stored], found)
    how = f"{images}, {_EVIDENCE.get(found.evidence or '')}"
    if found.evidence is None:
        line = f"cannot be told apart on {images}: give at least 10, or five people "
        line += "with two each; the norm alone is weak evidence"
    elif not found.fits:
        better = f"{_listed([found.best], found)} fits clearly better"
        line = f"another preprocessing fits better: {better} than the stored {stored}"
        if others := [row for row in found.alike if row is not found.best]:
            line += f"; {_listed(others, found)} cannot be told apart from it"
        line += f" ({how})"
    elif found.alike:
        line = f"cannot be told apart on {how}: stored {stored} and "
        line += _listed(list(found.alike), found)
    else:
        line = f"stored preprocessing fits best ({how})"
    return [line, *_remarks(found)]


def _remarks(found: PreprocessingComparison) -> list[str]:
    remarks = []
    if found.grey == found.images:
        remarks.append("all images are grey: they cannot tell RGB from BGR")
    elif found.grey:
        remarks.append(
            f"{_count(found.grey)} of {found.images} are grey and cannot "
            "tell RGB from BGR"
        )
    if found.evidence == "mirrors":
        remarks.append(
            "without five people of two images each only gross errors show, such as "
            "pixels that are not scaled; swapped channels do not"
        )
    if found.skipped:
        name, reason = found.skipped[0]
        remarks.append(
            f"left out {_count(len(found.skipped))} (first: {name} {reason})"
        )
    return remarks


def _listed(rows: list[PreprocessingFit], found: PreprocessingComparison) -> str:
    is_grey = found.grey == found.images
    each = [row.preprocessing for row in rows]
    words = [
        f"{'' if is_grey else one.channels} {scaling(one)}".strip() for one in each
    ]
    return ", ".join(words)


def _count(images: int) -> str:
    return "1 image" if images == 1 else f"{images} images"


def _number(value: float | None, form: str) -> str:
    return "none" if value is None else format(value, form)


def _interval(row: PreprocessingFit, found: PreprocessingComparison) -> str:
    if row is found.best:
        return "best"
    if row.low is None or row.high is None:
        return "no embeddings"
    return f"{row.low:+.2f} to {row.high:+.2f}"
