"""``prefiqs --version``: of the package, of JAX, of what it runs on."""

import argparse
from typing import Any

from prefiqs_jax.terminal import show
from prefiqs_jax.version import __version__


class ShowVersion(argparse.Action):
    """Print the versions, the devices and where compiled programs are kept; exit."""

    def __init__(self, option_strings: Any, dest: str, **settings: Any):
        settings |= {"nargs": 0, "help": "show versions, devices and cache, and exit"}
        super().__init__(option_strings, dest, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print and exit."""
        show(*lines())
        parser.exit()


def lines() -> list[str]:
    """Describe this installation, a line each."""
    import platform
    from importlib.metadata import version

    import jax

    from prefiqs_jax.execution.compilation import keep_programs

    python = platform.python_version()
    keep_programs()  # as the commands do
    known: Any = jax.config  # whose types do not name its settings
    cache = known.jax_compilation_cache_dir
    if cache is None or not known.jax_enable_compilation_cache:
        cache = "none"
    devices = jax.devices()
    return [
        f"prefiqs {__version__}",
        f"jax {jax.__version__}, jaxlib {version('jaxlib')}, Python {python}",
        f"devices: {len(devices)} × {devices[0].device_kind} ({devices[0].platform})",
        f"compilation cache: {cache}",
    ]
