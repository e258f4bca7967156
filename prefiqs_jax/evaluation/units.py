"""What a benchmark compares: its units, images or templates, and their comparisons."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from prefiqs_jax.benchmarks import Benchmark
from prefiqs_jax.errors import InputError
from prefiqs_jax.fiqa import (
    MOST_IMAGES,
    Members,
    Pairs,
    all_pairs,
    pair_similarity,
    pool_templates,
    template_quality,
    unit_embeddings,
)
from prefiqs_jax.fiqa.verification.templates import Pooling


@dataclasses.dataclass(frozen=True, eq=False)
class Units:
    """The units of a benchmark whose images could be used.

    ``images`` and ``kept`` are indices of the usable images and units in the benchmark,
    in order. ``members`` of templates are in places of these two; None if images are
    compared. ``identities`` are those of the units; None if some are unknown.
    ``first``, ``second`` and ``mated`` are comparisons in places of ``kept``; None for
    all pairs. ``notes`` say what was left out.
    """

    benchmark: Benchmark
    images: NDArray[np.int64]
    kept: NDArray[np.int64]
    members: Members | None
    identities: NDArray | None
    first: NDArray[np.int32] | None
    second: NDArray[np.int32] | None
    mated: NDArray[np.bool_] | None
    notes: tuple[str, ...]

    def quality(
        self, image_quality: Float[np.ndarray, " images"], pooling: Pooling
    ) -> Float[np.ndarray, " units"]:
        """Give each unit its quality: its image's, or pooled over the template's."""
        if self.members is None:
            return image_quality
        return template_quality(image_quality, self.members, pooling)

    def pairs(self, embeddings: NDArray[np.float32]) -> Pairs:
        """Compare the units by embeddings of the usable images, raw or in halves."""
        rows = embeddings
        if self.members is not None:
            rows = pool_templates(rows, self.members)
        unit = unit_embeddings(rows)
        if self.first is None or self.second is None or self.mated is None:
            assert self.identities is not None  # all pairs come from identities
            dtype = np.float64 if len(unit) <= MOST_IMAGES else np.float32
            pairs = all_pairs(unit, self.identities, dtype=dtype)
            if self.benchmark.capture is None:
                return pairs
            # Without comparisons of an image with a copy of itself.
            capture = self.benchmark.capture[self.images]
            differ = capture[pairs.first] != capture[pairs.second]
            return Pairs(*(column[differ] for column in pairs))
        similarity = pair_similarity(unit, self.first, self.second)
        return Pairs(self.first, self.second, similarity, self.mated)


def usable_units(benchmark: Benchmark, names: Sequence[str]) -> Units:
    """Find what can be compared of a benchmark whose images ``names`` could be used.

    Raises InputError if no mated or no non-mated comparison is left.
    """
    every = benchmark.images.names
    # One network may skip what another one takes.
    usable = set(names)
    images = np.array([i for i, name in enumerate(every) if name in usable], np.int64)
    place = np.full(len(every), -1, np.int64)
    place[images] = np.arange(len(images))
    members, kept = None, images
    if benchmark.templates is not None:
        # The members whose image is there, and the templates that have some.
        _, image, template, medium = benchmark.templates
        there = place[image] >= 0
        kept, template = np.unique(template[there], return_inverse=True)
        members = Members(place[image[there]], template.ravel(), medium[there])
    unit_place = np.full(benchmark.unit_count, -1, np.int32)
    kept = kept.astype(np.int64)
    unit_place[kept] = np.arange(len(kept), dtype=np.int32)

    who = [benchmark.identities[unit] for unit in kept]
    identities = None if any(each is None for each in who) else np.array(who, str)
    notes: list[str] = []
    if absent := benchmark.images.absent:
        notes.append(f"{len(absent)} listed images are absent (first: {absent[0]})")
    if len(images) < len(every):
        notes.append(f"{len(every) - len(images)} of {len(every)} images left out")
    first, second, mated = benchmark.first, benchmark.second, benchmark.mated
    if first is None or second is None or mated is None:
        first = second = mated = None
        if identities is None:
            unknown = who.index(None)
            message = (
                f"{benchmark.name}: the person of {every[kept[unknown]]} is not known, "
                "so all pairs cannot be compared; complete images.csv"
            )
            raise InputError(message)
    else:
        first, second = unit_place[first], unit_place[second]
        both = (first >= 0) & (second >= 0)
        if not both.all():
            notes.append(f"{int((~both).sum())} of {len(both)} comparisons left out")
            first, second, mated = first[both], second[both], mated[both]
        if mated.all() or not mated.any():
            kind = "non-mated" if mated.all() else "mated"
            message = (
                f"{benchmark.name}: no {kind} comparison is left, as images were left "
                "out; mend the images that cannot be used"
            )
            raise InputError(message)
    return Units(
        benchmark, images, kept, members, identities, first, second, mated, tuple(notes)
    )
