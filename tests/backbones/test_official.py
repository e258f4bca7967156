"""The table of official weights: well-formed, and of digests that were met before."""

import re

import pytest

from prefiqs_jax.backbones.official import OFFICIAL
from prefiqs_jax.weights.hub import HubFile
from prefiqs_jax.weights.source import SUFFIXES

ON_HUB = {name: place for name, place in OFFICIAL.items() if isinstance(place, HubFile)}
ELSEWHERE = {name: said for name, said in OFFICIAL.items() if isinstance(said, str)}


@pytest.mark.parametrize("place", ON_HUB.values(), ids=ON_HUB)
def test_places_on_the_hub(place):
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", place.repository)
    assert re.fullmatch(r"(\w[\w.-]*/)*\w[\w.-]*", place.file)
    assert place.file.endswith(tuple(SUFFIXES)), "weights, nothing that is run"
    assert place.revision == "main" or re.fullmatch("[0-9a-f]{40}", place.revision)
    assert re.fullmatch("[0-9a-f]{64}", place.sha256)
    assert place.licence
    assert place.channels in (None, "RGB", "BGR")


@pytest.mark.parametrize("said", ELSEWHERE.values(), ids=ELSEWHERE)
def test_places_elsewhere_are_a_line_with_an_address(said):
    assert len(said.splitlines()) == 1
    assert "https://" in said


def test_no_file_is_listed_for_two_networks():
    digests = [place.sha256 for place in ON_HUB.values()]
    assert len(set(digests)) == len(digests)


def test_channels_of_adaface_are_told():
    # The authors' Lightning checkpoints take BGR, their CVLface files RGB.
    for name, place in ON_HUB.items():
        assert (place.channels == "RGB") == name.startswith("adaface"), name
