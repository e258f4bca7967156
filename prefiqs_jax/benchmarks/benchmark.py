"""A verification benchmark: images, and which of them are compared."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray

from prefiqs_jax.images import ImageFolder


class Comparisons(NamedTuple):
    """Comparisons of two units each, one entry each."""

    first: Int[np.ndarray, " comparisons"]
    """int32: index of one unit."""
    second: Int[np.ndarray, " comparisons"]
    """int32: index of the other."""
    mated: Bool[np.ndarray, " comparisons"]
    """Whether both units show one person."""


class Templates(NamedTuple):
    """Sets of images that are compared as one; an entry of the arrays is a member."""

    names: tuple[str, ...]
    """Names of the templates."""
    image: Int[np.ndarray, " members"]
    """int32: index of the member's image."""
    template: Int[np.ndarray, " members"]
    """int32: index of the template it belongs to; not decreasing."""
    medium: Int[np.ndarray, " members"]
    """int32: the medium it comes from, a photograph or a video, counted from 0."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Benchmark:
    """Images, the comparisons of them or of templates, and what is known of both.

    What is compared is called a unit here: an image, or a template if there are any.
    """

    name: str
    kind: str
    """One of :data:`prefiqs_jax.benchmarks.KINDS`."""
    images: ImageFolder
    """Images that take part, for `load_batches` and `check_headers`."""
    first: Int[np.ndarray, " comparisons"] | None = None
    """int32: index of one unit of each comparison; None for all pairs of units."""
    second: Int[np.ndarray, " comparisons"] | None = None
    """int32: index of the other unit; None for all pairs."""
    mated: Bool[np.ndarray, " comparisons"] | None = None
    """Whether both units show one person; None for all pairs: identities say it."""
    templates: Templates | None = None
    """None if images are compared."""
    identities: tuple[str | None, ...]
    """The person of each unit, None where unknown."""
    identity_source: str | None = None
    """Where the identities come from; None if none is known."""
    severity: Float[np.ndarray, " images"] | None = None
    """How badly each image was degraded, in [0, 1], 0 for an original; else None."""
    notes: tuple[str, ...]
    """What the user should know, one line each."""
    capture: Int[np.ndarray, " images"] | None = None
    """Which photograph each image was made from; all pairs leave out those of one: an
    image and its degraded copy are alike whoever is on them. None: all differ."""

    @property
    def comparisons(self) -> Comparisons | None:
        """The comparisons that are listed; None for all pairs of units."""
        if self.first is None or self.second is None or self.mated is None:
            return None
        return Comparisons(self.first, self.second, self.mated)

    @property
    def unit_count(self) -> int:
        """How many units there are: templates, or images if there are no templates."""
        return len(self.identities)

    @property
    def comparison_count(self) -> int:
        """How many comparisons there are."""
        if self.mated is None:
            every = self.unit_count * (self.unit_count - 1) // 2
            return every - self._within_captures
        return len(self.mated)

    @property
    def mated_count(self) -> int:
        """How many comparisons are mated."""
        if self.mated is None:
            within = _pairs_within(np.array(self.identities, str))
            return within - self._within_captures
        return int(self.mated.sum())

    @property
    def non_mated_count(self) -> int:
        """How many comparisons are non-mated."""
        return self.comparison_count - self.mated_count

    @property
    def _within_captures(self) -> int:
        return 0 if self.capture is None else _pairs_within(self.capture)


def _pairs_within(groups: NDArray) -> int:
    """Count the pairs whose two members are of one group."""
    _, sizes = np.unique(groups, return_counts=True)
    return int((sizes * (sizes - 1) // 2).sum())
