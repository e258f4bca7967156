"""What a run says about itself while it goes on: sessions and skipped pictures.

The first process of a launch writes run.json. Another writes a file of its own beside
it, so that two never write the same one; ``results.read_manifest`` reads them together.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prefiqs_jax.results.provenance import now
from prefiqs_jax.results.run_folder import (
    finished_parts,
    read_manifest,
    write_manifest,
    write_process,
)
from prefiqs_jax.sweep.distributed import Share


class RunRecord:
    """The account that one process gives of its session.

    Parameters
    ----------
    out
        Run folder.
    manifest
        Of the run so far.
    session
        What is known of this session; more may be added until it ends.
    share
        Which process this is.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        manifest: dict[str, Any],
        session: dict[str, Any],
        share: Share,
    ):
        self._out = Path(out)
        self._share = share
        self._manifest = manifest
        self.session = session
        if share.count > 1:
            session |= {"process_index": share.index, "process_count": share.count}
        manifest["sessions"].append(session)
        self._skipped: list[dict[str, str]] = []
        self.write()

    def skip(self, pictures: Iterable[tuple[str, str]]) -> None:
        """Add (name, reason) of pictures that are left out, and write."""
        # A picture may be known already, as after a kill between here and its part.
        known = {entry["image"] for entry in self._manifest["skipped"]}
        found = [
            {"image": name, "reason": reason}
            for name, reason in pictures
            if name not in known
        ]
        self._manifest["skipped"] += found
        self._skipped += found
        self.write()

    def write(self) -> None:
        """Write what is known now."""
        if self._share.index:
            own = {"sessions": [self.session], "skipped": self._skipped}
            write_process(self._out, self._share.index, own)
        else:
            write_manifest(self._out, self._manifest)

    def end(self, batches: Iterable[int]) -> dict[str, Any]:
        """Close the session; the run is finished if all its batches have their part.

        Returns
        -------
        dict
            The manifest, with what other processes have said.
        """
        self.write()
        manifest = read_manifest(self._out)
        if finished_parts(self._out) >= set(batches):
            # Whoever comes last says so; two who come last together say the same.
            manifest["finished"] = now()
            write_manifest(self._out, manifest)
        return manifest
