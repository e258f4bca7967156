"""Shares of layers, against the vectors that they were made of."""

import numpy as np
import pytest
from simulated_run import LAYERS, norms, one


@pytest.fixture(scope="module")
def layers(script):
    return script("layers")


@pytest.fixture(scope="module")
def table(layers, simulated):
    return layers.measure(simulated[0])


def shares(simulated, sparsity, layer):
    first, _, _, parts = simulated[1][sparsity]
    return (parts[layer] * first).sum(axis=1) / norms(first) ** 2


def test_shares_by_hand(table, simulated):
    for place, name in enumerate(LAYERS):
        keys = {"sparsity": 0.3, "of": name}
        own = shares(simulated, 0.3, place)
        for stratum, chosen in (("clean", slice(40)), ("degraded", slice(40, 80))):
            line = one(table, statistic="share", stratum=stratum, **keys)
            assert line["value"] == pytest.approx(own[chosen].mean())
        # ‖δ‖ at 0.3 is 2 for every layer, at 0.1 it is 0, 1 and 2.
        line = one(table, statistic="weight_share", stratum="all", **keys)
        assert line["value"] == pytest.approx(1 / 3)
        keys["sparsity"] = 0.1
        line = one(table, statistic="weight_share", stratum="all", **keys)
        assert line["value"] == pytest.approx(place**2 / 5)
    sums = table[table["statistic"] == "share"].groupby(["stratum", "sparsity"])
    np.testing.assert_allclose(sums["value"].sum(), 1)


def test_differences_are_paired(table, simulated):
    own = shares(simulated, 0.6, 2)
    differences = own[40:] - own[:40]
    keys = {"statistic": "difference", "sparsity": 0.6, "of": LAYERS[2]}
    line = one(table, **keys)
    assert line["value"] == pytest.approx(differences.mean())
    assert line["images"] == 40
    assert line["high"] < 0  # clean images' last layer is four times as large


def test_the_finding_is_made_of_the_lines(layers, table):
    said = layers.finding(table)
    keys = {"sparsity": 0.3, "of": "fc/kernel"}
    share = one(table, statistic="share", stratum="clean", **keys)["value"]
    assert f"one layer carries {share:.0%} of the first-order drift, with 33%" in said
    lines = table[(table["statistic"] == "difference") & (table["sparsity"] == 0.3)]
    marked = lines[(lines["low"] > 0) | (lines["high"] < 0)]
    most = 100 * marked["value"].abs().max()
    assert f"{len(marked)} of 3 shares differ, by at most {most:.1f} points" in said
    alone = layers.finding(table[table["statistic"] != "difference"])
    assert alone.endswith("There are no degraded copies to compare with.")
    none = table.assign(low=table["low"].where(table["statistic"] != "difference", -9))
    none["high"] = none["high"].where(none["statistic"] != "difference", 9)
    assert layers.finding(none).endswith("between degraded and clean faces.")


def test_the_row_is_made_of_the_lines(layers, table):
    cells = layers.row(table)
    keys = {"sparsity": 0.3, "of": "fc/kernel"}
    line = one(table, statistic="share", stratum="clean", **keys)
    carried = cells["largest shares (of ‖δ‖²)"]
    assert carried.startswith(f"`fc` {line['value']:.0%} [{line['low']:.0%}, ")
    assert "] (33%), `" in carried
    line = one(table, statistic="difference", **keys)
    assert f"`fc` {100 * line['value']:+.1f} [" in cells["degraded differ"]
    alone = layers.row(table[table["statistic"] != "difference"])
    assert alone["degraded differ"] == "–"
    assert list(alone) == list(cells)
