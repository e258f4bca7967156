"""What to cite for a run: references of the methods that it used, as BibTeX."""

from prefiqs_jax.citing.cite import cite
from prefiqs_jax.citing.reference import Reference, read_references

__all__ = ["Reference", "cite", "read_references"]
