"""The ``prefiqs`` command: one file a command; each only parses, calls and prints.

Nothing heavy is imported before it is needed, so ``--help`` answers at once.
"""

from prefiqs_jax.cli.main import main

__all__ = ["main"]
