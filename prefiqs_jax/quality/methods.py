"""The quality scores that can be computed here: what each is, costs, and comes from."""

import dataclasses
from collections.abc import Mapping, Sequence

from prefiqs_jax.errors import InputError, check_choice

PREFIQS, FIRST_ORDER, NORM, CRFIQA = "prefiqs", "first-order", "norm", "crfiqa"
GRAFIQS, SERFIQ, FACEQAN, RANDOM = "grafiqs", "serfiq", "faceqan", "random"


@dataclasses.dataclass(frozen=True)
class Method:
    """One way to tell the quality of an image from a face-recognition network.

    Attributes
    ----------
    name
        As it is asked for.
    description
        One line.
    forwards
        Forward passes of the network for each image, S being the number of sparsities;
        a backward pass (of activations) is called so.
    source
        Where it was published.
    """

    name: str
    description: str
    forwards: str
    source: str


_ALL = (
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
        GRAFIQS,
        "minus the sum of absolute gradients of the mismatch of BatchNorm statistics, "
        "of the image and of the output of each of four stages",
        "1 + 1 backward",
        "Kolf, Damer and Boutros (2024). GraFIQs. CVPRW. arXiv:2404.12203",
    ),
    Method(
        SERFIQ,
        "agreement of 100 embeddings with random dropout",
        "1 + 100 of the layers behind the dropout",
        "Terhörst et al. (2020). SER-FIQ. CVPR. arXiv:2003.09373",
    ),
    Method(
        FACEQAN,
        "robustness to adversarial noise, and symmetry",
        "52 + 40 backward",
        "Babnik, Peer and Štruc (2022). FaceQAN. ICPR. arXiv:2212.02127",
    ),
    Method(
        CRFIQA,
        "output of the quality head that was trained with the network",
        "1",
        "Boutros et al. (2023). CR-FIQA. CVPR. arXiv:2112.06592",
    ),
    Method(RANDOM, "a number drawn for each image, as a baseline", "0", ""),
)

METHODS: Mapping[str, Method] = {method.name: method for method in _ALL}
"""Every method by its name."""


def check_methods(names: Sequence[str]) -> None:
    """Raise InputError unless every name is that of a method, and there only once."""
    for name in names:
        check_choice("method", name, METHODS)
    if not names:
        message = f"no method is given; choose from {', '.join(METHODS)}"
        raise InputError(message)
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        message = f"method {twice[0]} is given twice; name it once"
        raise InputError(message)
