"""Options of an evaluation, and its networks."""

import dataclasses
from typing import Literal

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import DEFAULT_PRECISION, Precision
from prefiqs_jax.fiqa.checks import check_fmr, check_max_discard
from prefiqs_jax.fiqa.discard.protocol import find_protocol
from prefiqs_jax.fiqa.verification.templates import Pooling
from prefiqs_jax.images import ImageSource
from prefiqs_jax.types import Params


@dataclasses.dataclass(frozen=True)
class Verifier:
    """A network that verifies, and may score."""

    backbone: Backbone
    scores: bool = True
    """Whether it computes qualities, too. Those of the first network are evaluated
    against the errors of every network (cross-model); those of another one only
    against its own (same-model)."""


@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation."""

    fmr: tuple[float, ...] = (1e-3, 1e-4)
    """False match rates, each in (0, 1)."""
    protocol: str = "crfiqa"
    """A key of :data:`prefiqs_jax.fiqa.PROTOCOLS`. "crfiqa" is what CR-FIQA's code
    computes only with ``flip``."""
    max_discard: float = 0.3
    """Fraction of comparisons up to which areas go, in (0, 1]."""
    reference: str | None = None
    """Quality to which the others are compared; None = the first."""
    replicates: int = 500
    """For the intervals, at most so many: one for each identity, or with many
    identities those of the bootstrap; 0 = no intervals."""
    seed: int = 0
    """For the replicates, and for methods that draw."""
    flip: bool = False
    """Whether to embed images and their mirror images."""
    verify_pruned: bool = False
    """Whether each network verifies when it is pruned, too, at every sparsity."""
    template_quality: Pooling = "min"
    """How a template's quality comes from its images'."""
    precision: Precision = DEFAULT_PRECISION
    """Precision of matrix products and convolutions."""
    batch_size: int | None = None
    """Images of a batch; None = chosen."""
    on_bad_image: Literal["fail", "skip"] = "fail"
    calibration: ImageSource | None = None
    """Images for a mask that needs data, see :func:`prefiqs_jax.images.as_folder`; None
    = the scored ones, of each benchmark its own."""
    earlier: Params | None = None
    """Weights of an earlier checkpoint of the networks that score, for movement."""
    command: list[str] | None = None
    """Words of the command line, for the records."""
    progress: bool = True
    """Whether to show progress on standard error."""

    def check(self) -> None:
        """Raise InputError if a number is out of its range or a name unknown."""
        _, switches = find_protocol(self.protocol)
        if not self.fmr:
            message = "no false match rate is given; give some, such as 0.001"
            raise InputError(message)
        for rate in self.fmr:
            check_fmr(rate)
        if len(set(self.fmr)) < len(self.fmr):
            message = f"a false match rate is given twice: {self.fmr}"
            raise InputError(message)
        check_max_discard(self.max_discard, 0.95 if switches.steps == "grid" else 1.0)
