"""Traits of a graph that its users must know: scaling of the pixels, folded norms."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from prefiqs_jax.backbones.onnx_graph.scopes import is_made_up
from prefiqs_jax.weights.onnx_model import Node

SHIFTS, FACTORS = frozenset(("Sub", "Add")), frozenset(("Mul", "Div"))
PASSING = frozenset(("Identity", "Cast", "Transpose"))


def scales_pixels(nodes: Sequence[Node], image: str) -> bool:
    """Tell whether the graph shifts and scales its pixels before anything else.

    Then it takes 0 to 255: (x - 127.5) / 128 or the like is inside, as insightface's
    own loader concludes. A normalisation of the pixels counts as both.
    """
    seen: set[str] = set()
    name = image
    while len(users := [node for node in nodes if name in node.inputs]) == 1:
        operator = users[0].operator
        if operator == "BatchNormalization":
            return True
        if operator not in SHIFTS | FACTORS | PASSING:
            break
        seen.add(operator)
        name = users[0].outputs[0]
    return bool(seen & SHIFTS) and bool(seen & FACTORS)


def is_folded(
    nodes: Sequence[Node], weights: Collection[tuple[int, int]]
) -> bool | None:
    """Tell whether an exporter has merged BatchNorms with the convolutions before them.

    Weights that were merged are not those that were trained: magnitudes rank them
    otherwise. `weights` has (number of the node, number of its input) of every weight.

    False if no convolution has a bias without a BatchNorm behind it, as what was merged
    has. True if kernel and bias of such a convolution have names that an exporter made
    up, in a file that keeps the names of other layers: PyTorch's exporter names what it
    merges anew, and a bias that was always there keeps its own. None, not known, in
    every other case.
    """
    names, users = defaultdict(list), defaultdict(list)
    for number, position in weights:
        names[number].append(nodes[number].inputs[position])
    for number, node in enumerate(nodes):
        for name in node.inputs:
            users[name].append(number)
    biased = []
    for number, node in enumerate(nodes):
        behind = users[node.outputs[0]]
        operators = {nodes[n].operator for n in behind}
        if node.operator != "Conv" or "BatchNormalization" in operators:
            continue
        # Some exporters write the bias as an addition of its own.
        adding = [n for n in behind if nodes[n].operator == "Add"]
        added = [name for n in adding for name in names[n]]
        if len(names[number]) > 1 or added:
            biased.append(names[number] + added)
    if not biased:
        return False
    kept = any(not is_made_up(name) for own in names.values() for name in own)
    made_up = any(all(map(is_made_up, own)) for own in biased)
    return True if made_up and kept else None
