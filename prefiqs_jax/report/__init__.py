"""Tables, figures and one self-contained page from a run."""

from prefiqs_jax.report.write import write_report

__all__ = ["write_report"]
