"""What a page says of how its numbers came about, from ``run.json``."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

# Shown in their own places on a page, not among the settings.
_OWN_PLACE = ("backbone", "mask", "is_change", "sparsities")
_SECTIONS = (("settings", ""), ("weights", "weights: "), ("images", "images: "))


class Provenance(NamedTuple):
    """Settings, sessions and what was left out."""

    settings: Sequence[tuple[str, str]]
    sessions: Sequence[Mapping[str, str]]
    """Keys started, device, command and versions, all texts."""
    skipped: Sequence[tuple[str, str]]
    """Images and reasons."""


def provenance_of(manifest: Mapping[str, Any]) -> Provenance:
    """Take it from ``run.json``; what that lacks is left out."""
    return Provenance(
        [
            (start + key.replace("_", " "), _text(value))
            for section, start in _SECTIONS
            for key, value in (manifest.get(section) or {}).items()
            if value is not None and not (section == "settings" and key in _OWN_PLACE)
        ],
        [_session(each) for each in manifest.get("sessions") or []],
        [(e["image"], e.get("reason", "")) for e in manifest.get("skipped") or []],
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _session(session: Mapping[str, Any]) -> dict[str, str]:
    versions = session.get("versions") or {}
    command = session.get("command") or "called from Python"
    return {
        "started": str(session.get("started", "not recorded")),
        "device": _text(session.get("device", "not recorded")),
        "command": command if isinstance(command, str) else " ".join(map(str, command)),
        "versions": ", ".join(f"{name} {v}" for name, v in versions.items()),
    }
