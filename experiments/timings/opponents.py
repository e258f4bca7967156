"""The same sweep in PyTorch, three ways: the usual script, an expert's, a compiled one.

All three take one batch and S networks that are pruned already (our masks are made once
a run, too), and give the first-order and the real drift, shape (2, sparsities, batch).
"""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from common import seconds
from numpy.typing import NDArray
from twins import memory_format

Call = Callable[[], NDArray]
CHUNKS = (1, 2, 5)


@dataclasses.dataclass(frozen=True)
class TorchSweep:
    """A network, its pruned copies and a batch, in one layout."""

    module: Any
    pruned: tuple[Any, ...]
    images: Any
    layout: str

    def laid_out(self, layout: str) -> "TorchSweep":
        """Copy it to another layout."""
        if layout == self.layout:
            return self
        form = memory_format(layout)
        module, *pruned = (
            copy.deepcopy(m).to(memory_format=form) for m in (self.module, *self.pruned)
        )
        images = self.images.to(memory_format=form)
        return TorchSweep(module, tuple(pruned), images, layout)

    def first(self, count: int) -> "TorchSweep":
        """Keep the first sparsities only, to try something out."""
        return dataclasses.replace(self, pruned=self.pruned[:count])


@dataclasses.dataclass(frozen=True)
class Opponent:
    """One way to do the sweep, in its best settings."""

    call: Call
    settings: dict[str, Any]


def prune_copies(module: Any, sparsities: Sequence[float]) -> tuple[Any, ...]:
    """Prune by global magnitude as PyTorch's documentation does, once a sparsity."""
    import torch
    from torch.nn.utils import prune

    copies = []
    for sparsity in sparsities:
        pruned = copy.deepcopy(module)
        layers = [
            (layer, "weight")
            for layer in pruned.modules()
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear))
        ]
        prune.global_unstructured(layers, prune.L1Unstructured, amount=sparsity)
        for layer, name in layers:
            prune.remove(layer, name)
        copies.append(pruned.requires_grad_(False))
    return tuple(copies)


def torch_forward(sweep: TorchSweep) -> Call:
    """Run the dense network in inference mode; the call gives the raw embeddings."""
    import torch

    def call() -> NDArray:
        with torch.inference_mode():
            return sweep.module(sweep.images).cpu().numpy()  # waits for the device

    return call


def usual(sweep: TorchSweep) -> Call:
    """One forward pass of the pruned network and one `torch.func.jvp` a sparsity."""
    import torch

    def call() -> NDArray:
        params = dict(sweep.module.named_parameters())
        embed = _embed(sweep)
        numbers = []
        with torch.no_grad():
            dense = embed(params)
            for pruned in sweep.pruned:
                moved = _unit(pruned(sweep.images)) - dense
                target = dict(pruned.named_parameters())
                delta = {name: target[name] - params[name] for name in params}
                jvp = torch.func.jvp(embed, (params,), (delta,))[1]
                numbers.append(torch.stack([_norms(jvp), _norms(moved)]).cpu())
        return torch.stack(numbers, 1).numpy()

    return call


def expert(sweep: TorchSweep, way: str, chunk: int) -> Call:
    """Share the dense pass, push directions in chunks, run the copies in between.

    Parameters
    ----------
    sweep
        What to do.
    way
        ``"linearize"``: `torch.func.linearize` once, `vmap` over the directions.
        ``"jvp"``: `vmap` over directions of `torch.func.jvp`, which repeats the dense
        pass for every chunk and is spared the tracing.
    chunk
        Directions pushed at once.
    """
    import torch

    moving, embed = _moving(sweep), _embed(sweep)

    def call() -> NDArray:
        with torch.no_grad():
            if way == "linearize":
                dense, push = torch.func.linearize(embed, moving)
            else:
                dense = embed(moving)

                def push(delta: Any) -> Any:
                    return torch.func.jvp(embed, (moving,), (delta,))[1]

            first = [
                _norms(torch.func.vmap(push)(deltas))
                for deltas in _deltas(sweep, moving, chunk)
            ]
        with torch.inference_mode():
            drift = [_norms(_unit(p(sweep.images)) - dense) for p in sweep.pruned]
            return torch.stack([torch.cat(first), torch.stack(drift)]).cpu().numpy()

    return call


@dataclasses.dataclass(frozen=True)
class Programs:
    """What `torch.compile` made of a network; each compiles at its first call."""

    forward: Callable[[Any, Any], Any]
    """(parameters, images) -> unit embeddings."""
    push: Callable[[Any, Any, Any], Any]
    """(parameters, stacked directions, images) -> first-order drifts."""
    tangents: bool
    """Whether the latter is compiled, too; it then takes all parameters."""


def programs(module: Any, *, tangents: bool) -> Programs:
    """Wrap a network in `torch.compile`, with the tangents if asked for.

    Weights are arguments, so that all pruned copies share one program; for tangents all
    parameters are, since `torch.compile` fails on a BatchNorm whose input has a tangent
    and whose scale has none.
    """
    import torch

    def forward(params: Any, images: Any) -> Any:
        return _unit(torch.func.functional_call(module, params, (images,)))

    def push(params: Any, deltas: Any, images: Any) -> Any:
        def embed(moved: Any) -> Any:
            return forward(moved, images)

        def one(delta: Any) -> Any:
            return _norms(torch.func.jvp(embed, (params,), (delta,))[1])

        return torch.func.vmap(one)(deltas)

    return Programs(
        torch.compile(forward, dynamic=False),
        torch.compile(push, dynamic=False) if tangents else push,
        tangents,
    )


def compiled(sweep: TorchSweep, made: Programs, chunk: int) -> Call:
    """Do the expert's work by compiled programs, ``chunk`` directions at once."""
    import torch

    images, params = sweep.images, _moving(sweep)
    if made.tangents:
        params = dict(sweep.module.named_parameters())

    def call() -> NDArray:
        with torch.no_grad():
            dense = made.forward(params, images)
            first = [
                made.push(params, deltas, images)
                for deltas in _deltas(sweep, params, chunk)
            ]
            drift = [
                _norms(made.forward(_only(pruned, params), images) - dense)
                for pruned in sweep.pruned
            ]
            return torch.stack([torch.cat(first), torch.stack(drift)]).cpu().numpy()

    return call


def best_usual(by_layout: dict[str, TorchSweep]) -> Opponent:
    """Choose the layout of the usual script by a run at one sparsity."""
    tried = {}
    for layout, sweep in by_layout.items():
        call = usual(sweep.first(1))
        call()
        tried[layout] = seconds(call)
    layout = min(tried, key=tried.__getitem__)
    return Opponent(usual(by_layout[layout]), {"layout": layout, "tried_s": tried})


def best_expert(by_layout: dict[str, TorchSweep]) -> Opponent:
    """Choose layout, chunk and way, in this order, by runs over a few sparsities."""
    count = max(len(sweep.pruned) for sweep in by_layout.values())
    chunks = [chunk for chunk in CHUNKS if count % chunk == 0]
    tried: dict[tuple[str, str, int], float] = {}

    def attempt(laid: TorchSweep, way: str, chunk: int) -> None:
        """Time one chunk; what is traced only once counts once."""
        call = expert(laid.first(chunk), way, chunk)
        once = each = min(seconds(call), seconds(call))
        if way == "linearize" and chunk < count:
            each = seconds(expert(laid.first(2 * chunk), way, chunk)) - once
        tried[laid.layout, way, chunk] = once + each * (count / chunk - 1)

    for laid in by_layout.values():
        attempt(laid, "jvp", chunks[min(1, len(chunks) - 1)])
    layout = min(tried, key=tried.__getitem__)[0]
    for chunk in chunks:
        if (layout, "jvp", chunk) not in tried:
            attempt(by_layout[layout], "jvp", chunk)
    layout, _, chunk = min(tried, key=tried.__getitem__)
    named: dict[str, Any] = {}
    try:
        attempt(by_layout[layout], "linearize", chunk)
    except RuntimeError as error:  # of views in channels_last that it has traced
        named[f"{layout} linearize {chunk}"] = str(error).splitlines()[0]
    layout, way, chunk = min(tried, key=tried.__getitem__)
    named |= {" ".join(map(str, key)): value for key, value in tried.items()}
    settings = {"layout": layout, "way": way, "chunk": chunk, "tried_s": named}
    return Opponent(expert(by_layout[layout], way, chunk), settings)


def best_compiled(laid: TorchSweep, chunk: int) -> Opponent | str:
    """Compile what gains by it, in the expert's layout and chunk.

    Returns
    -------
    Opponent or str
        Or the reason why `torch.compile` can do none of it.
    """
    tried: dict[str, Any] = {}
    first_s: dict[str, float] = {}
    made: dict[str, Programs] = {}
    for name, tangents in (("forward", False), ("forward and tangents", True)):
        found = programs(laid.module, tangents=tangents)
        attempt = compiled(laid.first(chunk), found, chunk)
        try:
            first_s[name] = seconds(attempt)
        except RuntimeError as error:  # whatever torch.compile cannot do
            lines = str(error).strip().splitlines() or ["no reason given"]
            tried[name] = f"{type(error).__name__}: {lines[0]}"
            continue
        made[name] = found
        tried[name] = seconds(attempt)
    if not made:
        return f"torch.compile does neither part: {tried}"
    best = min(made, key=lambda name: tried[name])
    return Opponent(
        compiled(laid, made[best], chunk),
        {
            "layout": laid.layout,
            "chunk": chunk,
            "compiled": best,
            "first_call_s": first_s[best],
            "tried_s": tried,
        },
    )


def _embed(sweep: TorchSweep) -> Callable[[Any], Any]:
    from torch.func import functional_call

    return lambda params: _unit(functional_call(sweep.module, params, (sweep.images,)))


def _moving(sweep: TorchSweep) -> dict[str, Any]:
    """Give the weights that some mask touches."""
    dense = dict(sweep.module.named_parameters())
    last = dict(sweep.pruned[-1].named_parameters())
    return {name: w for name, w in dense.items() if not w.equal(last[name])}


def _only(module: Any, like: dict[str, Any]) -> dict[str, Any]:
    params = dict(module.named_parameters())
    return {name: params[name] for name in like}


def _deltas(sweep: TorchSweep, moving: dict[str, Any], chunk: int) -> Any:
    """Yield the directions, stacked ``chunk`` by ``chunk``."""
    import torch

    for start in range(0, len(sweep.pruned), chunk):
        some = [_only(p, moving) for p in sweep.pruned[start : start + chunk]]
        yield {
            name: torch.stack([target[name] - w for target in some])
            for name, w in moving.items()
        }


def _unit(raw: Any) -> Any:
    return raw / raw.norm(dim=-1, keepdim=True)


def _norms(rows: Any) -> Any:
    return rows.norm(dim=-1)
