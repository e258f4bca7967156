"""Read from MXNet's symbol file how the BatchNorms of a network work.

A checkpoint is ``NAME-symbol.json`` (the graph) beside ``NAME-0000.params`` (the
weights of an epoch). Only the graph says which scales MXNet ignores.
"""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.wording import AGAIN, naming, parsing, shown

# That of LResNet100 has 0.3 MB; what JSON makes of a file may be 30 times its size.
MAX_BYTES = 4 * 2**20
# The attributes of a node have been renamed twice.
ATTRIBUTES = ("attrs", "attr", "param")
TRUE, FALSE = ("True", "true", "1"), ("False", "false", "0")


class Norm(NamedTuple):
    """One BatchNorm of the graph.

    With `fix_gamma` MXNet takes the scale as 1, whatever the file of the weights holds;
    `epsilon` is added to the variance.
    """

    fix_gamma: bool
    epsilon: float


def symbol_beside(path: Path) -> Path | None:
    """Return the symbol file that belongs to a .params file, if it is there.

    >>> symbol_beside(Path("nowhere/model-0000.params")) is None
    True
    """
    match = re.fullmatch(r"(.+)-\d{4,}\.params", path.name)
    if match is None:
        return None
    symbol = path.with_name(f"{match[1]}-symbol.json")
    return symbol if symbol.is_file() else None


def batch_norms(path: Path) -> dict[str, Norm]:
    """Read every BatchNorm of a symbol file, by the name of its layer.

    InputError if the file is damaged, too large, or states no truth value or no number.
    """
    with naming(path), parsing():
        if path.stat().st_size > MAX_BYTES:
            message = f"too large for a symbol file of MXNet; {AGAIN}"
            raise InputError(message)
        graph = json.loads(path.read_text(encoding="utf-8"))
        return {
            node["name"]: _norm(node)
            for node in graph["nodes"]
            if "BatchNorm" in node["op"]
        }


def _norm(node: dict[str, Any]) -> Norm:
    stated = next((node[key] for key in ATTRIBUTES if key in node), {})
    # The defaults are MXNet's.
    fixed = str(stated.get("fix_gamma", True))
    if fixed not in TRUE + FALSE:
        message = f"{shown(node['name'])} has fix_gamma = {shown(fixed)}; {AGAIN}"
        raise InputError(message)
    return Norm(fixed in TRUE, float(stated.get("eps", 1e-3)))
