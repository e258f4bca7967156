"""How much the methods with random numbers draw."""

import dataclasses
from typing import Any

from prefiqs_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Draws:
    """How much the methods with random numbers draw; the published values by default.

    Attributes
    ----------
    seed
        With the seed of an image it determines all that is drawn for it.
    serfiq_passes, serfiq_dropout
        T and the probability of dropping, see :mod:`prefiqs_jax.quality.serfiq`.
    faceqan_samples, faceqan_steps, faceqan_epsilon
        k, l and ε, see :mod:`prefiqs_jax.quality.faceqan`.
    expected_drift_directions
        k, see :mod:`prefiqs_jax.quality.expected_drift`.
    """

    seed: int = 0
    serfiq_passes: int = 100
    serfiq_dropout: float = 0.4
    faceqan_samples: int = 10
    faceqan_steps: int = 5
    faceqan_epsilon: float = 1e-3
    expected_drift_directions: int = 8

    def of(self, method: str) -> dict[str, Any]:
        """Give the seed and the settings of one method, without its name."""
        settings = dataclasses.asdict(self).items()
        own = {k.removeprefix(f"{method}_"): v for k, v in settings if method in k}
        return own | {"seed": self.seed}

    def __post_init__(self) -> None:
        """Refuse what no method can do with."""
        if not 0 <= self.seed < 2**32:
            message = f"seed is {self.seed}, but must be in [0, 2**32)"
            raise InputError(message)
        for name, least in (
            ("serfiq_passes", 2),
            ("faceqan_samples", 1),
            ("faceqan_steps", 1),
            ("expected_drift_directions", 1),
        ):
            if getattr(self, name) < least:
                message = f"{name} is {getattr(self, name)}; give at least {least}"
                raise InputError(message)
        if not 0 <= self.serfiq_dropout < 1:
            message = f"serfiq_dropout is {self.serfiq_dropout}, but must be in [0, 1)"
            raise InputError(message)
        if not 0 < self.faceqan_epsilon < 1:
            message = f"faceqan_epsilon is {self.faceqan_epsilon}; give one in (0, 1)"
            raise InputError(message)
