"""Import paths of the release before: they work, and warn, until the next one."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# (where it was, where it is, names of the modules)
_MOVES = (
    ("", "execution.", "compilation jaxprs precision slices"),
    (
        "backbones.",
        "backbones.convolutions.",
        "convolution depthwise reverse winograd",
    ),
    (
        "backbones.",
        "backbones.networks.",
        "ir iresnet layers lresnet mobilefacenet sface squeeze vit",
    ),
    ("fiqa.", "fiqa.discard.", "cuts protocol summary"),
    ("fiqa.", "fiqa.bootstrap.", "differences intervals replicates resampling"),
    ("fiqa.", "fiqa.labels.", "clustering label_optimisation"),
    ("fiqa.", "fiqa.verification.", "pairs similarity templates"),
    ("images.align.", "images.geometry.", "crop landmarks misalign templates"),
)
MOVED = {
    f"prefiqs_jax.{old}{name}": f"prefiqs_jax.{new}{name}"
    for old, new, names in _MOVES
    for name in names.split()
} | {
    "prefiqs_jax.backbones.direct": "prefiqs_jax.backbones.convolutions.convolution",
    "prefiqs_jax.aliases": "prefiqs_jax.types",
    "prefiqs_jax.arguments": "prefiqs_jax.cli.options",
    "prefiqs_jax.bench": "prefiqs_jax.cli.bench",
    "prefiqs_jax.images.degrade.ladder": "prefiqs_jax.images.degrade.apply",
    "prefiqs_jax.benchmarks.groups": "prefiqs_jax.benchmarks.comparisons",
    "prefiqs_jax.benchmarks.pictures": "prefiqs_jax.benchmarks.compared",
    "prefiqs_jax.images.assembling": "prefiqs_jax.images.loading",
    "prefiqs_jax.images.encode": "prefiqs_jax.images.decode",
    "prefiqs_jax.scorefiles.pairing": "prefiqs_jax.images.pairing",
    "prefiqs_jax.plots.notes": "prefiqs_jax.plots.shared",
    "prefiqs_jax.report.pictures": "prefiqs_jax.report.faces",
    "prefiqs_jax.report.supplement": "prefiqs_jax.report.write",
}
"""Old path to new path."""


class _Moved(MetaPathFinder, Loader):
    """Finds a module by its old path, and gives it the names of the new one."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Answer for old paths only."""
        del path, target
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        """Import the module where it is now, and warn."""
        new = MOVED[module.__name__]
        message = f"{module.__name__} is {new} now; the old path goes with release 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        names = vars(importlib.import_module(new))
        vars(module).update({k: v for k, v in names.items() if not k.startswith("__")})


def install() -> None:
    """Have old paths found, after everything else has been looked for."""
    sys.meta_path.append(_Moved())
