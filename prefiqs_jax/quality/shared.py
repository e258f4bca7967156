"""The methods whose scorers share one dense forward pass; made in ``make``."""

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError
from prefiqs_jax.execution.precision import Precision
from prefiqs_jax.quality.method import Method

PREFIQS, FIRST_ORDER, NORM, CRFIQA = "prefiqs", "first-order", "norm", "crfiqa"


def _need_head(backbone: Backbone, _: Precision) -> None:
    if backbone.quality_head is None:
        message = (
            f"crfiqa needs weights with a quality head, which {backbone.name} has not; "
            "use crfiqa_iresnet50 or the like, or leave the method out"
        )
        raise InputError(message)


METHODS = (
    Method(
        PREFIQS,
        "1 - drift / 2 of the unit embedding under pruning, for each sparsity",
        "1 + S",
        "Kolf et al. (2026). PreFIQs. CVPRW. arXiv:2605.13396",
    ),
    Method(
        FIRST_ORDER,
        "minus the norm of the Jacobian-vector product with the pruning direction, for "
        "each sparsity",
        "1 + 2 S",
        "Kolf et al. (2026). PreFIQs. CVPRW. arXiv:2605.13396",
    ),
    Method(
        NORM,
        "norm of the raw embedding",
        "1",
        "Meng et al. (2021). MagFace. CVPR. arXiv:2103.06627",
    ),
    Method(
        CRFIQA,
        "output of the quality head that was trained with the network",
        "1",
        "Boutros et al. (2023). CR-FIQA. CVPR. arXiv:2112.06592",
        check=_need_head,
    ),
)


def output_name(method: str, sparsity: float) -> str:
    """Name the output of a method at one sparsity.

    >>> output_name("prefiqs", 0.4)
    'prefiqs/0.4'
    """
    return f"{method}/{sparsity:g}"
