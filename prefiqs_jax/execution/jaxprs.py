"""Programs within JAX's programs."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
from jax.extend import core

PLAIN: dict[str, Callable[..., Any]] = {}
"""Name of a jitted function that takes a faster way to the same product, to the plain
product: for who reads the program instead of running it."""


def bodies(equation: Any) -> list[Any]:
    """List the jaxprs that an equation runs: of a call, a loop, a checkpoint.

    They come without their constants; ``jax.checkpoint`` holds a bare jaxpr,
    ``jax.jit`` a closed one.

    >>> import jax
    >>> for wrap in (jax.jit, jax.checkpoint):
    ...     program = jax.make_jaxpr(wrap(lambda x: x * x))(3.0)
    ...     print([len(body.eqns) for body in bodies(program.eqns[0])])
    [1]
    [1]
    """
    found = [getattr(value, "jaxpr", value) for value in equation.params.values()]
    return [body for body in found if hasattr(body, "eqns")]


CALLS = frozenset(
    (
        *("pjit", "jit", "checkpoint", "remat", "remat2", "closed_call", "core_call"),
        *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
    )
)
"""Primitives that call a jaxpr on their operands as they are."""

CHECKPOINTS = frozenset(("checkpoint", "remat", "remat2"))
"""Primitives of ``jax.checkpoint``, whose inner results are computed again."""


Rule: TypeAlias = Callable[
    [Any, list[Any], list[Any], Callable[[Sequence[Any]], list[Any]]],
    tuple[list[Any], list[Any]],
]
"""What to do with one equation: ``(equation, values, notes, run) -> (results, notes)``.

``values`` are the operands, ``notes`` what was noted of them; ``run(operands)`` gives
the equation's results for these or other operands."""


def interpret(
    closed: Any,
    values: Sequence[Any],
    notes: Sequence[Any],
    rule: Rule,
    *,
    opens: Callable[[Any, list[Any]], bool] | None = None,
    plain: bool = False,
) -> tuple[list[Any], list[Any]]:
    """Run a program equation by equation, a note kept beside every value.

    Parameters
    ----------
    closed
        From ``jax.make_jaxpr``.
    values, notes
        Its arguments, and a note to each.
    rule
        Called for each equation. Literals and constants have the note None.
    opens
        ``(equation, notes) -> bool``: whether to go into a call (a jitted or
        checkpointed function, one with rules of its own) instead of passing it to
        ``rule`` as one equation; None = always. Rules of derivatives, and checkpoints,
        are lost there.
    plain
        Whether to put the plain product in the place of a call of :data:`PLAIN`.

    Returns
    -------
    values, notes
        The results, and a note to each.

    Examples
    --------
    >>> import jax
    >>> def rule(equation, values, notes, run):
    ...     return run(values), [f"{equation.primitive}({', '.join(map(str, notes))})"]
    >>> program = jax.make_jaxpr(jax.jit(lambda x, y: x * y + 1))(2, 3)
    >>> (seven,), (how,) = interpret(program, [2, 3], ["x", "y"], rule)
    >>> print(seven, how)
    7 add(mul(x, y), None)
    """
    jaxpr = closed.jaxpr
    known: dict[Any, tuple[Any, Any]] = {
        var: (v, None) for var, v in zip(jaxpr.constvars, closed.consts, strict=True)
    }
    known.update(zip(jaxpr.invars, zip(values, notes, strict=True), strict=True))

    def read(atoms: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        pairs = [
            (atom.val, None) if isinstance(atom, core.Literal) else known[atom]
            for atom in atoms
        ]
        return [value for value, _ in pairs], [note for _, note in pairs]

    for equation in jaxpr.eqns:
        operands, noted = read(equation.invars)
        inner = called(equation)
        if inner is not None and (opens is None or opens(equation, noted)):
            direct = PLAIN.get(equation.params.get("name", "")) if plain else None
            if direct is not None:
                inner = jax.make_jaxpr(direct)(*operands)
            found = interpret(inner, operands, noted, rule, opens=opens, plain=plain)
        else:
            run = partial(run_equation, equation, jaxpr)
            found = rule(equation, operands, noted, run)
        known.update(zip(equation.outvars, zip(*found, strict=True), strict=True))
    return read(jaxpr.outvars)


def called(equation: Any) -> Any | None:
    """Find the closed jaxpr of a call that takes its operands as they are."""
    if equation.primitive.name in CALLS:
        for key in ("jaxpr", "call_jaxpr", "fun_jaxpr"):
            inner = equation.params.get(key)
            if inner is None:
                continue
            closed = inner if hasattr(inner, "consts") else core.ClosedJaxpr(inner, ())
            if len(closed.jaxpr.invars) == len(equation.invars):
                return closed
    return None


def run_equation(equation: Any, jaxpr: Any, operands: Sequence[Any]) -> list[Any]:
    """Run one equation of a jaxpr on these operands; gives its results."""
    if not bodies(equation) and equation.primitive.name not in CALLS:
        # Any operands do here, also in the place of a literal or of one value twice.
        found = equation.primitive.bind(*operands, **equation.params)
        return found if equation.primitive.multiple_results else [found]
    pairs = zip(equation.invars, operands, strict=True)
    known = {atom: v for atom, v in pairs if not isinstance(atom, core.Literal)}
    alone = jaxpr.replace(
        constvars=[],
        invars=list(known),
        outvars=equation.outvars,
        eqns=[equation],
        effects=equation.effects,
    )
    return core.jaxpr_as_fun(core.ClosedJaxpr(alone, []))(*known.values())
