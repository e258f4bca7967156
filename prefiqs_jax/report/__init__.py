"""Tables, figures and one self-contained page from a run."""

from prefiqs_jax.report.from_rows import write_rows_report
from prefiqs_jax.report.write import Supplement, write_report

__all__ = ["Supplement", "write_report", "write_rows_report"]
