"""Ways to run one and the same sweep step; they differ in speed and memory only."""

import dataclasses
from typing import Any

import jax

from prefiqs_jax.execution.slices import MEMORY_BOUND, default_slice, slices_of


@dataclasses.dataclass(frozen=True)
class Strategy:
    """How a step goes about its batch.

    Attributes
    ----------
    tangent_chunk
        Directions pushed at once through the linearised network: their tangents batch,
        at the memory of as many copies of the weights. Divides the sparsities.
    pruned_chunk
        Pruned networks run at once (``vmap`` over their weights, which makes grouped
        convolutions); 1 = one after another, each with the whole batch.
    slice_size
        Images that go through the network at a time, one slice after another within
        the step, so that their activations stay in a processor's cache; None = all.
    """

    tangent_chunk: int = 1
    pruned_chunk: int = 1
    slice_size: int | None = None

    def divides(self, sparsity_count: int, batch: int) -> bool:
        """Tell whether this can be done, of which a damaged file is no proof.

        >>> [Strategy(tangent_chunk=n).divides(4, 8) for n in (2, 3, 0, -1)]
        [True, False, False, False]
        """
        parts = [(self.tangent_chunk, sparsity_count)]
        parts += [(self.pruned_chunk, sparsity_count)]
        parts += [] if self.slice_size is None else [(self.slice_size, batch)]
        return all(
            type(part) is int and part > 0 and whole % part == 0
            for part, whole in parts
        )

    def describe(self) -> dict[str, Any]:
        """Give the choice for run.json."""
        return dataclasses.asdict(self)


def divisors(count: int, largest: int) -> list[int]:
    """Divisors of ``count`` up to ``largest``, the largest first."""
    return [d for d in range(min(largest, count), 0, -1) if count % d == 0]


def default_strategy(sparsity_count: int, batch: int, intensity: float) -> Strategy:
    """Give what is best as a rule, where nothing has been measured.

    On a CPU chunks of two directions (iResNet-18, batch 16, S = 10: 28 forwards against
    34 in a chunk of ten), but slices and one direction for networks that do little with
    a number before they store it; elsewhere chunks of five and the whole batch.

    Parameters
    ----------
    sparsity_count
        S.
    batch
        Images of one device.
    intensity
        Operations of products for each byte that the linearised pass keeps, see
        :class:`prefiqs_jax.sweep.estimate.Estimate`.
    """
    on_cpu = jax.default_backend() == "cpu"
    if on_cpu and intensity < MEMORY_BOUND:
        return Strategy(slice_size=default_slice(batch, intensity))
    return Strategy(tangent_chunk=divisors(sparsity_count, 2 if on_cpu else 5)[0])


def worth_measuring(
    sparsity_count: int, batch: int
) -> dict[str, list[int | None] | list[int]]:
    """List what could be faster here: fields of :class:`Strategy` to their values.

    Parameters
    ----------
    sparsity_count
        S.
    batch
        Images of one device.

    Returns
    -------
    dict
        In the order in which to decide them, each with the best of those before.
    """
    if jax.default_backend() == "cpu":
        return {
            "slice_size": [None, *slices_of(batch)],
            "tangent_chunk": divisors(sparsity_count, 2),
        }
    return {
        "tangent_chunk": divisors(sparsity_count, 10),
        "pruned_chunk": divisors(sparsity_count, 5),
    }
