"""Which operators are read, and in which forms: all that is not is said at once."""

from collections import Counter
from collections.abc import Sequence

from prefiqs_jax.backbones.onnx_graph.graph import Node
from prefiqs_jax.backbones.onnx_graph.operators.table import OPERATORS
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import listed, shown


def check_forms(nodes: Sequence[Node], output: str) -> None:
    """Raise InputError that lists every operator that cannot be computed."""
    wanted = {output} | {name for node in nodes for name in node.inputs}
    refused: Counter[str] = Counter()
    for node in nodes:
        why = _refusal(node, wanted)
        if why is not None:
            refused[f"{shown(node.operator)}{why and f' {why}'}"] += 1
    if not refused:
        return
    kinds = [f"{kind} ({count})" for kind, count in sorted(refused.items())]
    message = (
        f"has operators that are not read: {listed(kinds, len(kinds))}; export it "
        "with others, or add them to operators/table.py"
    )
    raise InputError(message)


def _refusal(node: Node, wanted: set[str]) -> str | None:
    """Say why a node cannot be computed: '' = unknown, None = it can."""
    if node.operator == "DequantizeLinear":
        return "of an activation"
    if node.operator not in OPERATORS:
        return ""
    if not any(node.outputs):
        return "without output"
    if node.operator == "BatchNormalization":
        # Before opset 14 the outputs tell.
        if node.attributes.get("training_mode", 0) or len(node.outputs) > 1:
            return "in training mode"
        return None
    if node.operator != "Split" and wanted.intersection(node.outputs[1:]):
        return "with a second output"
    return None
