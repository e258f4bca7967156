"""The row of a run: one backbone × mask × image × sparsity."""

import dataclasses

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
