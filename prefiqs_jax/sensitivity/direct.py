"""Where leaves of the parameters meet an image, and what δ changes there directly.

Found in the traced program of one image, so that it is there for any JAX function.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.jaxprs import PLAIN, bodies, called, interpret
from prefiqs_jax.sensitivity.embedding import norms, unit
from prefiqs_jax.trees import named_leaves
from prefiqs_jax.types import ApplyFn, Images, Params

Point: TypeAlias = dict[str, Any]
"""Leaf name to change ∂y/∂w δ_l of one result y of an operation."""

_ELEMENTWISE = frozenset(("mul", "add", "sub", "div", "add_any"))


class Traced:
    """The unit embedding of one image and its norm before, as a program.

    Parameters
    ----------
    apply_fn
        Maps (params, images) to raw embeddings.
    params
        Weights θ.
    images
        Preprocessed images; only their shape and type matter.
    """

    def __init__(self, apply_fn: ApplyFn, params: Params, images: Images):
        self.leaves, structure = jax.tree.flatten(params)
        self.names = [name for name, _ in named_leaves(params)]

        def program(image: Array, *leaves: Array) -> tuple[Array, Array]:
            raw = apply_fn(structure.unflatten(leaves), image[None])[0]
            return unit(raw), norms(raw)

        image = jax.ShapeDtypeStruct(images.shape[1:], images.dtype)
        self.program = jax.make_jaxpr(program)(image, *self.leaves)

    def has_while(self) -> bool:
        """Tell whether there is a loop of unknown length, which has no reverse mode."""

        def within(jaxpr: Any) -> bool:
            return any(
                equation.primitive.name == "while" or any(map(within, bodies(equation)))
                for equation in jaxpr.eqns
            )

        return within(self.program.jaxpr)

    def run(
        self,
        image: Array,
        names: Collection[str],
        *,
        by_filter: bool = False,
        added: Sequence[Array] | None = None,
    ) -> "Run":
        """Compute the embedding, and keep what changes of leaves are pushed through.

        Parameters
        ----------
        image
            Shape (height, width, channels).
        names
            Leaves that may change; the others are taken as constant.
        by_filter
            Whether to find the axes of the outputs.
        added
            Added to the result of each point; None = nothing.
        """
        meet = _Meet(by_filter, None if added is None else iter(added), None)
        z, norm = self._interpret(image, dict.fromkeys(names), meet)
        return Run(z, norm, meet.kept, meet.points, meet.axes)

    def changes(
        self,
        image: Array,
        changes: Mapping[str, Array],
        kept: Sequence[Any],
        *,
        by_filter: bool = False,
    ) -> list[Point]:
        """Give what changes of leaves change directly at each point of :meth:`run`.

        Parameters
        ----------
        image
            The image that :meth:`run` took.
        changes
            Leaf name to δ_l, for the names that :meth:`run` took.
        kept
            ``Run.kept`` of :meth:`run`.
        by_filter
            As given to :meth:`run`.
        """
        meet = _Meet(by_filter, None, iter(kept))
        self._interpret(image, changes, meet)
        return meet.points

    def _interpret(
        self, image: Array, changes: Mapping[str, Any], meet: "_Meet"
    ) -> tuple[Array, Array]:
        notes = [
            {name: changes[name]} if name in changes else None for name in self.names
        ]
        (z, norm), (note, _) = interpret(
            self.program,
            [image, *self.leaves],
            [_IMAGE, *notes],
            meet,
            opens=meet.opens,
        )
        if isinstance(note, dict):  # an embedding that knows no image
            z = meet.point(z, note, dict.fromkeys(note, ()))
        return z, norm


class Run(NamedTuple):
    """What a run gives; points are in the order of the program."""

    embedding: Array
    """Unit embedding, shape (dim,)."""
    norm: Array
    """Norm of the raw embedding, a scalar."""
    kept: list[Any]
    """Results of the operations."""
    points: list[Point]
    """Of each point, the leaves that meet the image there, and its result for each."""
    axes: list[dict[str, tuple[int, ...]]]
    """Of each point, for each leaf: the axes of the operation's result that run over
    the outputs; none unless they were asked for."""


_IMAGE = "image"


class _Meet:
    """A rule of :func:`~prefiqs_jax.execution.jaxprs.interpret`.

    The note of a value is _IMAGE, if it comes of the image; else, if it comes of
    leaves, how they change it: leaf name to tangent, where results are known, else to
    anything; or None.
    """

    def __init__(
        self,
        by_filter: bool,
        added: Iterator[Array] | None,
        known: Iterator[Any] | None,
    ):
        self.by_filter = by_filter
        self.added = added
        self.known = known
        """Results of the operations, if they are not to be computed again."""
        self.kept: list[Any] = []
        self.points: list[Point] = []
        self.axes: list[dict[str, tuple[int, ...]]] = []

    def opens(self, equation: Any, notes: list[Any]) -> bool:
        """Go into calls with several operands from leaves; the others are one point.

        A depthwise convolution, a sum of nine products, is so a point, not nine; a
        convolution by a faster way stays that. Outputs are told apart further inside.
        """
        name = equation.primitive.name
        if name.startswith("custom_jvp"):
            return False  # inside, its rule of derivatives would be lost
        if name.startswith("custom_vjp") or equation.params.get("name") in PLAIN:
            return self.by_filter  # inside, the faster way would be lost
        holders = sum(isinstance(note, dict) for note in notes)
        return holders > 1 or (holders == 1 and self.by_filter)

    def __call__(
        self, equation: Any, values: list[Any], notes: list[Any], run: Any
    ) -> tuple[list[Any], list[Any]]:
        known = self.known
        out = run(values) if known is None else [next(known) for _ in equation.outvars]
        names = {name: 0 for note in notes if isinstance(note, dict) for name in note}
        meets = _IMAGE in notes
        results, seen = [], []
        if names and known is not None:
            plain = run
            if equation.primitive.name.startswith("custom_vjp"):  # has no forward mode
                inner = core.jaxpr_as_fun(called(equation))
                plain = lambda operands: inner(*operands)  # noqa: E731
            tangents = {name: _tangents(plain, values, notes, name) for name in names}
        else:
            tangents = dict.fromkeys(names, out)
        for place, value in enumerate(out):
            inexact = jnp.issubdtype(jnp.result_type(value), jnp.inexact)
            found = {name: each[place] for name, each in tangents.items() if inexact}
            if meets and found:
                axes = {n: self._axes(equation, values, notes, n) for n in found}
                results.append(self.point(value, found, axes))
            else:
                results.append(value)
            seen.append(_IMAGE if meets else found or None)
        if known is None:
            self.kept += results
        return results, seen

    def point(
        self, value: Any, changes: Point, axes: dict[str, tuple[int, ...]]
    ) -> Array:
        """Note a point; give its result, with what is to be added."""
        self.points.append(changes)
        self.axes.append(axes)
        return value if self.added is None else value + next(self.added)

    def _axes(
        self, equation: Any, values: list[Any], notes: list[Any], name: str
    ) -> tuple[int, ...]:
        """Find the axes of the result that run over the outputs of a leaf."""
        if not self.by_filter:
            return ()
        kind = equation.primitive.name
        places = [i for i, n in enumerate(notes) if isinstance(n, dict) and name in n]
        (place, *others) = places
        ndim = values[place].ndim
        if not others and kind == "conv_general_dilated" and place == 1:
            return (equation.params["dimension_numbers"].out_spec[1],)
        if not others and kind == "dot_general":
            # The result has the common axes, then the first operand's own, then the
            # second's.
            (contract, batch) = equation.params["dimension_numbers"]
            common = len(batch[place])
            own = ndim - len(contract[place]) - common
            if not own:
                return tuple(range(common))[-1:]
            start = common if place == 0 else equation.outvars[0].aval.ndim - own
            return tuple(range(start, start + own))
        if not others and kind in _ELEMENTWISE:
            varies = [i for i, n in enumerate(values[place].shape) if n > 1]
            return tuple(varies[-1:])
        message = (
            f"{name} goes into the operation {kind!r}, which has no output channels of "
            "its own: leave by_filter out"
        )
        raise InputError(message)


def _tangents(
    run: Callable[..., list[Any]],
    values: list[Any],
    notes: list[Any],
    name: str,
) -> list[Any]:
    """Push the change of one leaf through one operation, and nothing else."""
    places = [i for i, n in enumerate(notes) if isinstance(n, dict) and name in n]
    # The image's part is held: its derivative belongs to other points.
    held = [jax.lax.stop_gradient(value) for value in values]

    def of(*moved: Any) -> list[Any]:
        replaced = dict(zip(places, moved, strict=True))
        return run([replaced.get(i, value) for i, value in enumerate(held)])

    primals = [held[i] for i in places]
    return jax.jvp(of, primals, [notes[i][name] for i in places])[1]
