"""What a run says about itself while it goes on: sessions and skipped images.

The first process of a launch writes run.json. Another writes a file of its own beside
it, so that two never write the same one; ``results.read_manifest`` reads them together.
Each says all that is to be known of the run, whoever is lost, and of the sessions only
those of the processes of its own index.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prefiqs_jax.files import clear_partial
from prefiqs_jax.images import Inventory
from prefiqs_jax.results import read_manifest
from prefiqs_jax.results.inventory import write_inventory
from prefiqs_jax.results.parts import named_parts, rows_folder
from prefiqs_jax.results.provenance import now
from prefiqs_jax.results.run_folder import write_manifest
from prefiqs_jax.sweep.distributed import Share


class RunRecord:
    """The account that one process gives of its session.

    Parameters
    ----------
    out
        Run folder.
    manifest
        Manifest of the run so far.
    session
        What is known of this session; more may be added until it ends.
    share
        Which process this is.
    inventory
        What the images' files hold, for a new run.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        manifest: dict[str, Any],
        session: dict[str, Any],
        share: Share,
        inventory: Inventory | None = None,
    ):
        self._out = Path(out)
        self._share = share
        self._manifest = manifest
        self.session = session
        if share.count > 1:
            session |= {"process_index": share.index, "process_count": share.count}
        if share.index:
            manifest["sessions"] = [
                earlier
                for earlier in manifest["sessions"]
                if earlier.get("process_index", 0) == share.index
            ]
        manifest["sessions"].append(session)
        self.write()
        if inventory is not None:
            write_inventory(self._out, inventory)

    def skip(self, pictures: Iterable[tuple[str, str]]) -> None:
        """Add (name, reason) of images that are left out, and write."""
        # An image may be known already, as after a kill between here and its part.
        known = {entry["image"] for entry in self._manifest["skipped"]}
        self._manifest["skipped"] += [
            {"image": name, "reason": reason}
            for name, reason in pictures
            if name not in known
        ]
        self.write()

    def write(self) -> None:
        """Write what is known now."""
        write_manifest(self._out, self._manifest, process=self._share.index)

    def end(self, batches: Iterable[int]) -> dict[str, Any]:
        """Close the session; the run is finished if all its batches have their part.

        Returns
        -------
        dict
            The manifest, with what other processes have said.
        """
        if named_parts(self._out) >= set(batches):
            # Whoever comes last says so; two who come last together say the same.
            self._manifest["finished"] = now()
        self.write()
        clear_partial(self._out)
        clear_partial(rows_folder(self._out))
        return read_manifest(self._out)
