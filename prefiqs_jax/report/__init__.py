"""Tables, figures and one self-contained page from a run."""

from prefiqs_jax.report.supplement import Supplement
from prefiqs_jax.report.write import write_report

__all__ = ["Supplement", "write_report"]
