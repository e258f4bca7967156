"""Tables of a report as files: long ones are the same, and smaller."""

import gzip
import io

import numpy as np
import pandas as pd
import pytest

from prefiqs_jax.report import csv_tables
from prefiqs_jax.report.write import FLOAT_FORMAT


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "image": [f"{i}.png" for i in range(50)],
            "identity": None,
            "sparsity": 0.3,
            "drift": rng.random(50).astype(np.float32).astype(np.float64),
            "residual": np.where(np.arange(50) % 7, rng.random(50), np.nan),
            "below_rounding": np.arange(50) % 2 == 0,
        }
    )


@pytest.mark.parametrize("name", ["a.png", 'a,"b".png'])
def test_long_tables_read_as_short_ones(table, monkeypatch, name):
    table.loc[3, "image"] = name
    (short,) = csv_tables.table_files({"t": table}, "", FLOAT_FORMAT).values()
    monkeypatch.setattr(csv_tables, "_MANY_LINES", 10)
    (quick,) = csv_tables.table_files({"t": table}, "", FLOAT_FORMAT).values()
    quick, short = (pd.read_csv(io.BytesIO(text)) for text in (quick, short))
    pd.testing.assert_frame_equal(quick, short, rtol=1e-7)
    # Nine digits give the same float32 again.
    drift = quick["drift"].to_numpy().astype(np.float32)
    assert np.array_equal(drift, table["drift"].to_numpy().astype(np.float32))


def test_large_tables_are_compressed(table, monkeypatch):
    monkeypatch.setattr(csv_tables, "MOST_PLAIN", 1000)
    few = table.head(5)
    files = csv_tables.table_files({"few": few, "many": table}, "tables/")
    assert list(files) == ["tables/few.csv", "tables/many.csv.gz"]
    plain = gzip.decompress(files["tables/many.csv.gz"])
    assert plain.decode() == table.to_csv(index=False)
    again = csv_tables.table_files({"few": few, "many": table}, "tables/")
    assert files == again
