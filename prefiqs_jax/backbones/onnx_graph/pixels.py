"""Traits of a graph that its users must know: scaling of the pixels, folded norms."""

from collections.abc import Sequence

from prefiqs_jax.backbones.onnx_graph.graph import Node

SHIFTS, FACTORS = frozenset(("Sub", "Add")), frozenset(("Mul", "Div"))
PASSING = frozenset(("Identity", "Cast", "Transpose"))


def scales_pixels(nodes: Sequence[Node], image: str) -> bool:
    """Tell whether the graph shifts and scales its pixels before anything else.

    Then it takes 0 to 255: (x - 127.5) / 128 or the like is inside, as insightface's
    own loader concludes. A normalisation of the pixels counts as both.
    """
    seen: set[str] = set()
    name = image
    while True:
        users = [node for node in nodes if name in node.inputs]
        if len(users) != 1:
            break
        (node,) = users
        if node.operator == "BatchNormalization":
            return True
        if node.operator not in SHIFTS | FACTORS | PASSING:
            break
        seen.add(node.operator)
        name = node.outputs[0]
    return bool(seen & SHIFTS) and bool(seen & FACTORS)


def folded_count(nodes: Sequence[Node]) -> int:
    """Count convolutions that an exporter has merged with their BatchNorm.

    Told by a bias and no BatchNorm behind it, so one that always had a bias counts too.
    Weights that were merged are not those that were trained: magnitudes rank them
    otherwise.
    """
    normalised = {
        name
        for node in nodes
        if node.operator == "BatchNormalization"
        for name in node.inputs
    }
    return sum(
        node.operator == "Conv"
        and len(node.inputs) > 2
        and normalised.isdisjoint(node.outputs)
        for node in nodes
    )
