"""Runs on disk: Parquet parts of rows and one run.json."""

from prefiqs_jax.results.image_columns import with_image_columns
from prefiqs_jax.results.run_folder import read, read_manifest
from prefiqs_jax.results.schema import ARROW_SCHEMA, COLUMNS, EXTRAS, TABLES, DriftRow

__all__ = [
    "ARROW_SCHEMA",
    "COLUMNS",
    "EXTRAS",
    "TABLES",
    "DriftRow",
    "read",
    "read_manifest",
    "with_image_columns",
]
