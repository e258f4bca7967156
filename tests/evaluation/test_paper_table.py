"""The table that papers print: what cannot tell has no area and no part in a mean."""

import numpy as np
import pandas as pd

from prefiqs_jax.evaluation.tables import paper_table


def test_a_set_that_cannot_tell_is_blank_and_not_in_the_mean():
    areas = pd.DataFrame(
        {
            "benchmark": np.repeat(["lfw", "faces", "xqlfw", "clean"], 2),
            "kind": np.repeat(["lfw", "folder", "xqlfw", "folder"], 2),
            "verifier": "net",
            "scorer": "net",
            "quality": ["norm", "random"] * 4,
            "fmr": 0.01,
            "pauc": [0.001, 0.002, 0.003, 0.006, 0.1, 0.2, 0.0, 0.0],
            "tells": [True] * 6 + [False] * 2,
        }
    )
    found = paper_table(areas, 0.01, "net")
    assert list(found) == ["lfw", "faces", "xqlfw", "clean", "mean"]
    assert np.isnan(found["clean"].to_numpy(np.float64)).all()
    np.testing.assert_allclose(found["mean"], [2, 4])
    nothing = paper_table(areas.assign(tells=False), 0.01, "net")
    assert np.isnan(nothing.to_numpy(np.float64)).all()
    assert "mean" not in nothing
