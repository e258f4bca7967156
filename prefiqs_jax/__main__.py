"""``python -m prefiqs_jax``."""

import sys

from prefiqs_jax.cli import main

sys.exit(main())
