"""The experiment on intervals of areas runs, and its result says what is relied on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from prefiqs_jax.fiqa import FEW_UNITS

SCRIPT = Path(__file__).parents[2] / "experiments" / "coverage_pauc.py"


@pytest.mark.slow
def test_it_runs(tmp_path):
    out = tmp_path / "coverage.json"
    command = [sys.executable, str(SCRIPT), "--quick", "--processes", "1"]
    subprocess.run([*command, "--out", str(out)], check=True, timeout=600)
    found = json.loads(out.read_text())
    kept = json.loads(SCRIPT.with_suffix(".json").read_text())
    assert set(found) == set(kept)
    assert found["crfiqa, family"]["8"]["samples"] == 3
    for cells in found.values():
        for shares in cells.values():
            assert all(0 <= share <= 1 for m, share in shares.items() if m != "samples")


def test_what_is_the_default_covers():
    """Allow for the simulation's own noise, two standard errors of a share of 0.95."""
    for statistic, cells in json.loads(SCRIPT.with_suffix(".json").read_text()).items():
        for people, shares in cells.items():
            if not FEW_UNITS <= int(people) < 100:
                continue
            method = "jackknife t"
            if "family" in statistic:
                method = "jackknife max-t"
            elif "pAUC" in statistic:
                method = "jackknife t of the logarithm"
            noise = 2 * (0.95 * 0.05 / shares["samples"]) ** 0.5
            assert shares[method] > 0.92 - noise, (statistic, people)
