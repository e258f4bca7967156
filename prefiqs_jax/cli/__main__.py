"""``python -m prefiqs_jax.cli``."""

import sys

from prefiqs_jax.cli.main import main

sys.exit(main())
