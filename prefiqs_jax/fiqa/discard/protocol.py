"""Error-versus-discard protocols: their options, and the named ones.

Areas under different protocols cannot be compared, so a curve carries its protocol.
"""

import dataclasses

from prefiqs_jax.errors import InputError, check_choice


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One choice per question; ``dataclasses.replace`` changes one of them."""

    threshold: str
    """``fixed``: found once, on all non-mated comparisons. ``per_step``: found again
    on what each step keeps, so it drifts along the curve (only with steps="grid")."""
    rule: str
    """``at_most``: the lowest threshold with FMR at most as asked for. ``nearest``: of
    the similarities that occur, mated ones too, the lowest whose FMR (of
    ``similarity >= threshold``) is nearest to it, above or below.
    ``nearest_non_mated``: likewise, of the non-mated ones only."""
    operator: str
    """A mated comparison matches if its similarity is ``>=`` (ge) or ``>`` (gt) the
    threshold."""
    discard: str
    """What is sorted by quality and discarded: all comparisons together (pooled), the
    mated ones only, or the same fraction of each kind by itself (proportional)."""
    steps: str
    """``grid``: 0, 0.05, … 0.95. ``all``: after each comparison or group of ties, and
    a last point (1, 0), where nothing is left."""
    ties: str
    """Which comparisons go where a step ends inside a group of equal quality.
    ``expected``: the mean over all orders of the group, each of its comparisons counted
    as the fraction of the group that stays. ``listed``: one by one, as they are listed.
    ``group``: none of the group."""
    interpolation: str
    """Between points: straight lines (linear), or constant up to the next (step)."""


SWITCHES = {
    "threshold": ("per_step", "fixed"),
    "rule": ("nearest", "at_most", "nearest_non_mated"),
    "operator": ("ge", "gt"),
    "discard": ("pooled", "mated", "proportional"),
    "steps": ("grid", "all"),
    "ties": ("expected", "listed", "group"),
    "interpolation": ("linear", "step"),
}
"""What each of them may be."""

PROTOCOLS = {
    "crfiqa": Protocol(
        threshold="per_step",
        rule="nearest",
        operator="gt",
        discard="pooled",
        steps="grid",
        ties="expected",
        interpolation="linear",
    ),
    "fiqat": Protocol(
        threshold="fixed",
        rule="at_most",
        operator="ge",
        discard="mated",
        steps="all",
        ties="group",
        interpolation="step",
    ),
    "proportional": Protocol(
        threshold="fixed",
        rule="nearest",
        operator="gt",
        discard="proportional",
        steps="grid",
        ties="expected",
        interpolation="linear",
    ),
}
"""The protocols by name.

``crfiqa`` is what the evaluation code of CR-FIQA computes (Boutros et al., CVPR 2023,
arXiv 2112.06592), and tables in its wake report, with one departure: what goes of
comparisons of equal quality, which that code leaves to its sort and so to the order of
the list, is the mean over all orders (``ties="listed"`` is that code on the list as it
is). Its embeddings are those of an image and of its mirror image, one after the other.
``fiqat`` is the curve of the toolkit by that name (Schlett, Rathgeb, Tapia & Busch,
arXiv 2303.13294), with the threshold set by FMR unless a starting error is given.
``proportional`` is ``crfiqa`` without the two defects that Wani, Babnik, Štruc &
Terhörst name (IJCB 2026, arXiv 2607.22752): the threshold is that of all comparisons,
and the same fraction goes of either kind, so that its mated comparisons are those of
"fiqat" on a grid of steps. Rule, operator, grid and lines are those of ``crfiqa``. The
program that these authors released takes the non-mated similarity whose FMR is nearest,
and ``>=``: ``dataclasses.replace(PROTOCOLS["proportional"], rule="nearest_non_mated",
operator="ge")``.
"""


def find_protocol(protocol: str | Protocol) -> tuple[str, Protocol]:
    """Find a protocol by name, or check one of your own.

    Gives name and record; your own is called "custom", unless it equals a preset.
    Raises InputError if a name or switch is unknown, or the switches are at odds.

    >>> find_protocol("fiqat")[1].discard
    'mated'
    """
    if isinstance(protocol, str):
        check_choice("protocol", protocol, PROTOCOLS)
        return protocol, PROTOCOLS[protocol]
    for name, choices in SWITCHES.items():
        check_choice(name, getattr(protocol, name), choices)
    if protocol.threshold == "per_step" and protocol.steps == "all":
        message = (
            'threshold="per_step" goes with steps="grid" only: one threshold for each '
            'comparison would be noise; use threshold="fixed"'
        )
        raise InputError(message)
    names = [name for name, preset in PROTOCOLS.items() if preset == protocol]
    return (names[0] if names else "custom"), protocol
