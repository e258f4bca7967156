"""What the nodes of an ONNX file state about layers: taken over, or as the port has it.

Weights alone do not make a network. The epsilon of a normalisation is that of the file,
a float32 number: 0.001 is 0.0010000000474974513 there, worth 5e-9 in an embedding and
more where a PReLU's input is near zero. Strides, pads and factors are compared.
"""

from collections.abc import Mapping
from typing import Any

from prefiqs_jax.backbones.functional import Blueprint
from prefiqs_jax.backbones.places import module_at
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.onnx_model import Node


def stated_epsilons(plan: Blueprint, users: Mapping[str, Node]) -> dict[str, float]:
    """Return the epsilons of a file, if its nodes compute what the port does.

    `users` maps the path of a leaf (``params/bn1/scale``) to the node that takes it; it
    is empty for a file without nodes. The result maps the path of a normalisation
    (``bn1``) to its epsilon. InputError if a node states another stride, padding,
    dilation or factor than the port has.

    >>> from prefiqs_jax.backbones.zoo import architecture
    >>> node = Node("BatchNormalization", attributes={"epsilon": 2.5e-5})
    >>> plan = architecture("demo").blueprint
    >>> stated_epsilons(plan, {"statistics/bn1/var": node})
    {'bn1': 2.5e-05}
    """
    module, epsilons = plan.module(), {}
    for path, user in users.items():
        layer = path.partition("/")[2].rpartition("/")[0]
        if user.epsilon is not None:
            epsilons[layer] = user.epsilon
        elif wrong := _differences(module_at(module, layer), user):
            message = (
                f"{layer}: {user.operator} has {', '.join(wrong)}, unlike this "
                "network; run the file by its own graph: --backbone onnx"
            )
            raise InputError(message)
    return epsilons


def _differences(layer: Any, user: Node) -> list[str]:
    stated = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in user.attributes.items()
    }
    expected: dict[str, Any] = {}
    if user.operator == "Gemm":
        expected = {"alpha": 1.0, "beta": 1.0, "transA": 0}
    if user.operator == "Conv" and hasattr(layer, "stride"):
        kind = user.attributes["auto_pad"]
        size = layer.kernel.shape[0]
        # SAME pads as the port where there is no stride, or else one side more.
        same = layer.stride == 1 and 2 * layer.padding + 1 == size
        pads = {
            "NOTSET": stated.get("pads") or [0] * 4,
            "VALID": [0] * 4,
        }.get(kind, [layer.padding] * 4 if same else kind)
        stated = {"strides": [1, 1], "dilations": [1, 1]} | stated | {"pads": pads}
        expected = {
            "strides": [layer.stride] * 2,
            "dilations": [1, 1],
            "pads": [layer.padding] * 4,
        }
    return [f"{n} = {stated[n]}" for n, value in expected.items() if stated[n] != value]
