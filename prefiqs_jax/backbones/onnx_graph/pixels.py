"""Traits of a graph that its users must know: scaling of the pixels, folded norms."""

from collections.abc import Collection, Sequence

from prefiqs_jax.backbones.onnx_graph.graph import Node
from prefiqs_jax.backbones.onnx_graph.scopes import is_made_up

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


def is_folded(
    nodes: Sequence[Node], weights: Collection[tuple[int, int]]
) -> bool | None:
    """Tell whether an exporter has merged BatchNorms with the convolutions before them.

    Weights that were merged are not those that were trained: magnitudes rank them
    otherwise.

    Parameters
    ----------
    nodes
        In order.
    weights
        ``(number of the node, number of its input)`` of every weight.

    Returns
    -------
    bool or None
        False if no convolution has a bias without a BatchNorm behind it, as what was
        merged has. True if kernel and bias of such a convolution have names that an
        exporter made up, in a file that keeps the names of other layers: PyTorch's
        exporter names what it merges anew, and a bias that was always there keeps its
        own. None, not known, in every other case.
    """
    names: dict[int, list[str]] = {}
    for number, position in weights:
        names.setdefault(number, []).append(nodes[number].inputs[position])
    kept = any(not is_made_up(name) for own in names.values() for name in own)
    users: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        for name in node.inputs:
            users.setdefault(name, []).append(number)
    biased = []
    for number, node in enumerate(nodes):
        behind = users.get(node.outputs[0], [])
        operators = {nodes[n].operator for n in behind}
        if node.operator != "Conv" or "BatchNormalization" in operators:
            continue
        own = names.get(number, [])
        # Some exporters write the bias as an addition of its own.
        added = [
            name
            for n in behind
            if nodes[n].operator == "Add"
            for name in names.get(n, [])
        ]
        if len(own) > 1 or added:
            biased.append(own + added)
    if not biased:
        return False
    made_up = any(all(map(is_made_up, own)) for own in biased)
    return True if made_up and kept else None
