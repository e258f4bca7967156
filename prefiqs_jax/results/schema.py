"""The row of a run: one backbone × mask × image × sparsity."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class DriftRow:
    """One measurement; its fields are the columns of a run, in this order.

    All vectors are unit embeddings z or live in their space, so distances have no unit
    and drift lies in [0, 2].
    """

    backbone: str
    """Name of the network, as ``prefiqs backbones`` lists it."""
    mask: str
    """Allocation and score, e.g. ``global/magnitude``."""
    image: str
    """Path below the image folder, with forward slashes."""
    identity: str | None
    """Person in the image, None where unknown."""
    sparsity: float
    """Requested fraction of prunable weights set to zero."""
    achieved_sparsity: float
    """Counted fraction of prunable weights set to zero."""
    first_order: float
    """‖J_θ z · δ‖, the norm of the Jacobian-vector product."""
    drift: float
    """‖z(θ + δ) - z(θ)‖, what pruning really did."""
    cosine: float
    """Cosine between the JVP and the displacement; NaN where either is zero."""
    residual: float
    """‖z(θ + δ) - z(θ) - J_θ z · δ‖, what the first order leaves unexplained."""
    quality: float
    """1 - drift / 2, higher = better."""


COLUMNS: tuple[str, ...] = tuple(f.name for f in dataclasses.fields(DriftRow))

ARROW_SCHEMA = pa.schema(
    [
        pa.field(field.name, pa.float64() if field.type is float else pa.string())
        for field in dataclasses.fields(DriftRow)
    ]
)


EXTRAS: dict[str, tuple[str, ...]] = {
    "taylor2": ("second_order", "second_order_residual", "predicted_error"),
    "taylor3": ("third_order", "third_order_residual"),
    "kinks": (
        "flips",
        "predicted_flips",
        "near_kinks",
        "smooth_residual",
        "kink_residual",
    ),
    "layers": (),
    "controls": (),
    "validity": ("slope", "valid_t"),
    "path": ("path_length", "path_error"),
    "expected": ("expected_drift", "expected_drift_error"),
    "metric": ("metric_trace", "metric_trace_error"),
    "pixels": ("pixel_gradient",),
}
"""What a sweep measures on request, and the columns that it adds to :class:`DriftRow`.

``second_order`` and ``third_order`` are norms of the partial sums of the Taylor series
of t ↦ z(θ + t δ) at t = 1, ``…_residual`` of what they leave, ``predicted_error`` is
‖c₂‖ / ‖c₁‖. ``flips`` counts the inputs of activations whose sign changes between dense
and pruned network, ``predicted_flips`` those of which the tangents say so,
``near_kinks`` those within rounding of a kink in the dense network; ``smooth_residual``
and ``kink_residual`` are the norms of the two parts of the first order's error, which
add up to it as vectors.

``slope`` is log₂ of the first order's remainder at t = 1 over that at t = 1/2 (2 where
smooth), ``valid_t`` up to which of t = 1/16 … 1 it is within 10 % of the change,
interpolated (0 where it is not at 1/16, 1 also where it holds farther). ``path_length``
is ∫ ‖J(θ + tδ) δ‖ dt by 8 nodes, ``path_error`` the norm of what these miss of the
displacement. ``expected_drift`` is √E‖Jε‖² over random directions ε with the norm of δ
in every layer, ``metric_trace`` tr JᵀJ over the pruned leaves; both by 8 probes, with
standard errors ``…_error``. ``pixel_gradient`` is the norm of ∂‖Jδ‖ / ∂x.
"""

SCALES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Parts t of the direction at which the first order is held against the change."""
NODES = 8
"""Gauss-Legendre nodes of a path."""
PROBES = 8
"""Random directions of an expectation, the same for all images."""

TABLES: dict[str, tuple[str, tuple[str, ...]]] = {
    "kinks": ("activation", ("flips", "predicted_flips")),
    "layers": ("layer", ("contribution",)),
    "controls": ("control", ("first_order", "drift", "cosine", "residual")),
}
"""Of some, more than one number a row: a table of its own, with a line for each label
(name of the column, names of the numbers). In a part they are lists as long as there
are labels, named ``table.number``."""


def columns_of(extras: Collection[str]) -> tuple[str, ...]:
    """List the columns of a run's rows with these extras."""
    added = [
        name for extra, names in EXTRAS.items() if extra in extras for name in names
    ]
    return (*COLUMNS, *added)


def schema_of(
    extras: Collection[str], labels: Mapping[str, Sequence[str]]
) -> pa.Schema:
    """Describe the parts of a run with these extras; ``labels`` are those of tables."""
    schema = ARROW_SCHEMA
    for name in columns_of(extras)[len(COLUMNS) :]:
        schema = schema.append(pa.field(name, pa.float64()))
    for table in TABLES:
        if table in extras:
            kind = pa.list_(pa.float64(), len(labels[table]))
            for number in TABLES[table][1]:
                schema = schema.append(pa.field(f"{table}.{number}", kind))
    return schema
