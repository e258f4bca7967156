"""Where a traced program is not smooth: its kinks, their inputs, and their names.

A kink is where a floating-point value that comes of images is compared with something
else: ``gt ge lt le max min clamp abs sign``. Its input is the difference of the two.
"""

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend import core

from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.jaxprs import called, interpret, run_equation
from prefiqs_jax.trees import is_prunable, named_leaves
from prefiqs_jax.types import Params

_KINKS = frozenset(("gt", "ge", "lt", "le", "max", "min", "clamp", "abs", "sign"))
# Not smooth, and without two sides of which one could be frozen.
_JUMPS = frozenset(
    (
        *("reduce_max", "reduce_min", "argmax", "argmin", "cummax", "cummin", "sort"),
        *("reduce_window_max", "reduce_window_min", "select_and_gather_add", "top_k"),
        *("approx_top_k", "scatter_max", "scatter_min", "scatter-max", "scatter-min"),
        *("floor", "ceil", "round", "rem", "bitcast_convert_type"),
    )
)
CURE = "pass activations_fn=(params, images) -> {name: inputs} of your own"


@dataclasses.dataclass(eq=False)
class Kink:
    """One input and what it is compared with, wherever in the program that is done."""

    name: str
    shape: tuple[int, ...]
    """Of the input in the program."""
    axis: int = 0
    """That runs over the images, alone or as the slower of two."""

    def by_image(self, value: Array, batch: int) -> Array:
        """Bring the images to an axis of their own, the first."""
        first = jnp.moveaxis(value, self.axis, 0) if self.shape else value[None]
        size, *rest = first.shape
        return first if size == batch else first.reshape(batch, size // batch, *rest)

    def as_computed(self, value: Array) -> Array:
        """Undo :meth:`by_image`."""
        if not self.shape:
            return value.reshape(())
        rest = np.delete(self.shape, self.axis).tolist()
        return jnp.moveaxis(value.reshape(-1, *rest), 0, self.axis)


class Site(NamedTuple):
    """An equation at which pieces meet."""

    kinks: tuple[Kink, ...]
    turned: bool
    """Whether the input is the second operand minus the first."""
    ruled: bool
    """Whether it is part of a function with a derivative of its own, as of ReLU."""


@dataclasses.dataclass(eq=False)
class Note:
    """What is known of a value in the program."""

    images: bool = False
    """Whether it comes of images."""
    leaf: str = ""
    """Of weights: their leaf. Of images: the last prunable leaf on the way, …"""
    when: int = -1
    """… and the number of the equation where that came in."""
    prunable: bool = False
    parents: "tuple[Note, ...]" = ()
    """Through which a derivative reaches it."""
    kinks: tuple[Kink, ...] = ()
    """Whose side it states."""
    product: "tuple[Note, str] | None" = None
    """Of a value and a leaf that is not prunable: both."""
    jump: str = ""
    """What is not smooth here, and cannot be frozen."""


class Reader:
    """Find the kinks of a program: a rule of ``interpret`` that computes nothing."""

    def __init__(self, assumed: frozenset[str] = frozenset()):
        self.sites: list[Site | None] = []
        """For each equation, in the order of ``interpret``."""
        self.opened: list[bool] = []
        """For each call."""
        self.shapes: list[tuple[int, ...]] = []
        """Of all that comes of images."""
        self.kinks: list[Kink] = []
        """Those that reach the result."""
        self._known: dict[tuple[Note, Any], Kink] = {}
        self._inputs: dict[Kink, Note] = {}
        self._ruled: set[int] = set()
        # Names of functions whose own derivative is being looked at.
        self._assumed = assumed

    def read(self, program: Any, notes: Sequence[Note]) -> None:
        """Go through a program whose arguments have these notes."""
        avals = [var.aval for var in program.jaxpr.invars]
        _, results = interpret(program, avals, notes, self, opens=self._opens)
        reached: dict[Note, None] = {}
        left = [note for note in results if note is not None]
        while left:
            note = left.pop()
            if note not in reached:
                reached[note] = None
                left.extend(note.parents)
        for note in reached:
            if note.jump:
                after = f" after {_layer(note.leaf)}" if note.leaf else ""
                message = f"{note.jump}{after} is not smooth and has no sides; {CURE}"
                raise InputError(message)
        live = {kink for note in reached for kink in note.kinks}
        self.kinks = [kink for kink in self._inputs if kink in live]
        self.sites = [
            site if site and live.issuperset(site.kinks) else None
            for site in self.sites
        ]

    def _opens(self, equation: Any, notes: list[Any]) -> bool:
        inner = called(equation)
        found = any(note is not None and note.images for note in notes)
        found = found and self._has_kinks(inner)
        if found and equation.primitive.name == "custom_jvp_call":
            # That of logaddexp, and with it softplus, is smooth; its program has a max.
            found = self._rule_has_kinks(equation, inner)
            if found:
                self._ruled.update(id(each) for each in _equations(inner))
        self.opened.append(found)
        return found

    def _has_kinks(self, program: Any) -> bool:
        if not any(_is_kink(each) or _is_jump(each) for each in _equations(program)):
            return False
        reader = Reader(self._assumed)
        try:
            reader.read(program, [Note(images=True) for _ in program.jaxpr.invars])
        except InputError:
            return True
        return bool(reader.kinks)

    def _rule_has_kinks(self, equation: Any, inner: Any) -> bool:
        """Whether the derivative that a function states is not smooth, either."""
        name, avals = equation.params.get("name", ""), inner.in_avals
        if name in self._assumed:
            return False
        if not all(jnp.issubdtype(aval.dtype, jnp.floating) for aval in avals):
            return True
        shapes = tuple(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in avals)

        def tangents(primals: Any, tangents: Any) -> Any:
            def function(*values: Any) -> Any:
                return run_equation(equation, inner.jaxpr, values)

            return jax.jvp(function, primals, tangents)[1]

        within = Reader(self._assumed | {name})
        return within._has_kinks(jax.make_jaxpr(tangents)(shapes, shapes))

    def __call__(
        self, equation: Any, values: list[Any], notes: list[Any], run: Any
    ) -> tuple[list[Any], list[Any]]:
        """Note one equation, a :class:`~prefiqs_jax.execution.jaxprs.Rule`."""
        del run
        name = equation.primitive.name
        avals = [var.aval for var in equation.outvars]
        known = tuple(note for note in notes if note is not None)
        ours = [note for note in known if note.images]
        weights = [note for note in known if not note.images]
        # Those that can be pruned first.
        leaf = max(weights, key=lambda note: note.prunable, default=Note())
        out = Note(bool(ours), parents=() if name == "stop_gradient" else known)
        site = None
        if not ours:
            out.leaf, out.prunable = leaf.leaf, leaf.prunable
        else:
            last = max(ours, key=lambda note: note.when)
            out.leaf, out.when = last.leaf, last.when
            if leaf.prunable:
                out.leaf, out.when = leaf.leaf, len(self.sites)
            elif name == "mul" and leaf.leaf:
                out.product = ours[0], leaf.leaf
            if _is_jump(equation):
                out.jump = name
            elif called(equation) is None and any(
                self._has_kinks(body) for body in _bodies(equation)
            ):
                out.jump = f"what is inside of {name}"
            elif name == "clamp" and not (notes[1] and notes[1].images):
                out.jump = "clamp between limits that come of images"
            elif _is_kink(equation):
                site = self._site(equation, values, notes)
                out.kinks = site.kinks
            self._name_by_slope(known)
        self.sites.append(site)
        if ours:
            self.shapes.extend(aval.shape for aval in avals)
        if not known and name == "convert_element_type" and _is_number(values[0]):
            # A limit that was written as a whole number stays a number.
            return [np.asarray(values[0], avals[0].dtype)], [None]
        # A note for each: two halves of a value are compared apart.
        return avals, [dataclasses.replace(out) for _ in avals]

    def _site(self, equation: Any, values: list[Any], notes: list[Any]) -> Site:
        found, turned = [], False
        for one, other in compared(equation.primitive.name):
            turned = not (notes[one] and notes[one].images)
            if turned and other is not None:
                one, other = other, one
            note = notes[one]
            threshold = (
                0.0 if other is None else _threshold(values[other], notes[other])
            )
            at = isinstance(threshold, float) and threshold != 0
            layer = f"after {_layer(note.leaf)}" if note.leaf else "images"
            name = f"{layer} at {threshold:g}" if at else layer
            new = Kink(name, equation.invars[one].aval.shape)
            kink = self._known.setdefault((note, threshold), new)
            self._inputs[kink] = note
            found.append(kink)
        return Site(tuple(found), turned, id(equation) in self._ruled)

    def _name_by_slope(self, operands: Sequence[Note]) -> None:
        """Name a PReLU, which chooses between its input and a leaf times that."""
        for kink in {kink for each in operands for kink in each.kinks}:
            for each in operands:
                if each.product and each.product[0] is self._inputs[kink]:
                    kink.name = _layer(each.product[1])


def leaf_notes(params: Params) -> list[Note]:
    """Make the notes of a tree's leaves."""
    return [
        Note(leaf=name, prunable=is_prunable(name, leaf))
        for name, leaf in named_leaves(params)
    ]


def compared(name: str) -> tuple[tuple[int, int | None], ...]:
    """List which operands of a primitive are compared; None stands for zero."""
    if name == "clamp":  # low, value, high
        return (1, 0), (1, 2)
    return ((0, None if name in ("abs", "sign") else 1),)


def find_images(reader: Reader, twice: Reader, batch: int) -> None:
    """Find the axis of every kink that runs over the images, by doubling their number.

    InputError where there is none, or the images are mixed with something else.
    """
    same = (len(reader.shapes), len(reader.kinks)) == (
        len(twice.shapes),
        len(twice.kinks),
    )
    pairs = zip(reader.shapes, twice.shapes, strict=same)
    moved = any(one[1:] != two[1:] for one, two in pairs)
    others = iter(twice.kinks)
    for kink in reader.kinks:
        other = next(others).shape if same else ()
        axes = [axis for axis, n in enumerate(other) if n == 2 * kink.shape[axis]]
        kink.axis = axes[0] if axes else 0
        alone = bool(axes) and kink.shape[kink.axis] == batch
        # Merged with another axis, images are the slower one if they always came first.
        if len(axes) != 1 or not (alone or not moved):
            message = (
                f"{kink.name}: what of an activation of shape {kink.shape} belongs to "
                f"which of {batch} images cannot be told; {CURE}"
            )
            raise InputError(message)


def name_apart(kinks: Sequence[Kink]) -> None:
    """Tell kinks of one name apart: the second is ``after layer1.fc (2)``."""
    counts: dict[str, int] = {}
    for kink in kinks:
        count = counts[kink.name] = counts.get(kink.name, 0) + 1
        kink.name += f" ({count})" if count > 1 else ""


def _threshold(value: Any, note: Note | None) -> Any:
    """Tell a threshold from others: a number, or whose value it is."""
    if note is not None:
        return note
    return float(value) if _is_number(value) else id(value)


def _is_number(value: Any) -> bool:
    return not isinstance(value, Array) and np.ndim(value) == 0


def _layer(leaf: str) -> str:
    """Give the dotted name of the layer that a leaf is of."""
    return ".".join(re.split(r"[/.]", leaf)[:-1]) or leaf


def _is_kink(equation: Any) -> bool:
    return equation.primitive.name in _KINKS and _of_floats(equation)


def _is_jump(equation: Any) -> bool:
    name, to = equation.primitive.name, equation.params.get("new_dtype")
    cut = name == "convert_element_type" and not jnp.issubdtype(to, jnp.inexact)
    return (cut or name in _JUMPS) and _of_floats(equation)


def _of_floats(equation: Any) -> bool:
    return jnp.issubdtype(equation.invars[0].aval.dtype, jnp.floating)


def _bodies(equation: Any) -> Iterator[Any]:
    """Yield the closed jaxprs that an equation holds: of calls, loops, branches."""
    for value in equation.params.values():
        for body in value if isinstance(value, tuple) else (value,):
            if hasattr(body, "jaxpr"):
                yield body
            elif hasattr(body, "eqns"):
                yield core.ClosedJaxpr(body, ())


def _equations(program: Any) -> Iterator[Any]:
    """Yield the equations of a program and of those inside it."""
    for equation in program.jaxpr.eqns:
        yield equation
        for body in _bodies(equation):
            yield from _equations(body)
