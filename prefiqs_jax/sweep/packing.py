"""Make what a sweep measures: the masks of one rule or several, or another change."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from prefiqs_jax.backbones import Backbone
from prefiqs_jax.errors import InputError, UnreachableSparsityError
from prefiqs_jax.images import ImageFolder
from prefiqs_jax.masks import AnyMask, NamedDelta, NamedMask
from prefiqs_jax.masks.named import as_named
from prefiqs_jax.masks.packed import PackedMasks, join_masks, pack_deltas, pack_masks
from prefiqs_jax.sweep.calibration import calibrate
from prefiqs_jax.types import Params


def pack_changes(
    backbone: Backbone,
    mask: AnyMask | Sequence[AnyMask] | NamedDelta,
    sparsities: Sequence[float],
    calibration: ImageFolder,
    *,
    source: str,
    earlier: Params | None,
    on_bad_image: Literal["fail", "skip"],
    on_unreachable: Literal["fail", "skip"] = "fail",
    say: Callable[[str], None],
) -> tuple[PackedMasks, dict[str, Any]]:
    """Make the masks, or the other change, that a sweep measures.

    Parameters
    ----------
    backbone, mask
        As in :func:`prefiqs_jax.sweep.sweep`.
    sparsities
        Ascending.
    calibration, source
        Images for masks that need data, and what they are, for the record.
    earlier, on_bad_image, on_unreachable
        As in :class:`prefiqs_jax.sweep.SweepOptions`.
    say
        Is told of layers that a mask prunes whole, and of sparsities left out.

    Returns
    -------
    packed : PackedMasks
    identity : dict
        What identifies them, for run.json.

    Raises
    ------
    InputError
        If a sparsity, mask or change cannot be used.
    """
    if isinstance(mask, NamedDelta):
        if sparsities:
            message = f"{mask.name} is no mask, so it has no sparsities; give none"
            raise InputError(message)
        packed = pack_deltas({mask.name: mask.delta}, backbone.params, mask.prunable)
        return packed, mask.describe()
    if isinstance(mask, str) or not isinstance(mask, Sequence):
        mask = [mask]
    masks = [as_named(each) for each in mask]
    check_masks(masks, sparsities)
    bound = calibrate(
        masks,
        backbone,
        calibration,
        source=source,
        seed=int(masks[0].seed or 0),
        earlier=earlier,
        on_bad_image=on_bad_image,
        say=say,
    )
    parts, left_out = [], {}
    for each in bound:
        part, beyond = _pack_reachable(
            each, backbone.params, each.sparsities or sparsities, on_unreachable
        )
        parts.append(part)
        if beyond:
            left_out[each.name] = beyond
            which = ", ".join(f"{sparsity:g}" for sparsity in beyond)
            say(f"note: {each.name} cannot reach sparsity {which}: left out")
    packed = join_masks(parts)
    for line in packed.remarks(backbone.params):
        say(line)
    identity: dict[str, Any] = bound[0].describe()
    if len(bound) > 1:
        identity = {"mask": ", ".join(m.name for m in bound)}
        # They share their data, which is said once.
        identity["masks"] = [replace(m, data={}).describe() for m in bound]
        for one in bound:
            identity |= one.data
    if left_out:
        identity["unreachable_sparsities"] = left_out
    return packed, identity


def _pack_reachable(
    mask: NamedMask,
    params: Params,
    sparsities: Sequence[float],
    on_unreachable: Literal["fail", "skip"],
) -> tuple[PackedMasks, list[float]]:
    """Pack a mask at the sparsities that it can reach; and list the others."""
    wanted, left_out = sorted(sparsities), []
    while True:
        try:
            packed = pack_masks(
                mask.mask_fn, params, wanted, mask.prunable, name=mask.name
            )
        except UnreachableSparsityError as error:
            kept = [one for one in wanted if one not in error.sparsities]
            if on_unreachable == "fail" or not any(kept):
                raise
            left_out += [one for one in wanted if one in error.sparsities]
            wanted = kept
        else:
            return packed, sorted(left_out)


def pack_all(
    masks: Sequence[NamedMask], params: Params, sparsities: Sequence[float]
) -> PackedMasks:
    """Pack several masks, bound to what they need, at their sparsities or at these."""
    return join_masks(
        [
            pack_masks(
                m.mask_fn, params, m.sparsities or sparsities, m.prunable, name=m.name
            )
            for m in masks
        ]
    )


def check_masks(masks: Sequence[NamedMask], sparsities: Sequence[float]) -> None:
    """Refuse no mask, no sparsity, and either given twice."""
    if not masks:
        message = "no mask given; give at least one, such as global/magnitude"
        raise InputError(message)
    names = [mask.name for mask in masks]
    for name in names:
        if names.count(name) > 1:
            message = f"mask {name} is given twice; name them apart"
            raise InputError(message)
    for mask in masks:
        wanted = mask.sparsities or sparsities
        if not len(wanted):
            message = "no sparsities given; give some in [0, 1), such as 0.1,0.4"
            raise InputError(message)
        for one, other in itertools.pairwise(sorted(wanted)):
            if one == other:
                message = f"sparsity {one:g} is given twice"
                raise InputError(message)
