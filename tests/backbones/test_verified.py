"""What is said of a network's verification is what the tests compare it with."""

import re

import pytest
from flax import nnx

from prefiqs_jax.backbones.functional import blueprint
from prefiqs_jax.backbones.networks import iresnet
from prefiqs_jax.backbones.verified import KINDS, verified
from prefiqs_jax.backbones.zoo import ARCHITECTURES, details

KIND_OF = {name: verified(name) for name in ARCHITECTURES}


def names(kind):
    return {name for name, found in KIND_OF.items() if found == kind}


def structure(plan):
    """Reduce a network to its kinds of leaves, and the epsilons of its layers."""
    module = nnx.merge(plan.graph, nnx.State(plan.params), nnx.State(plan.statistics))
    leaves = {re.sub(r"\d+", "#", path) for path in plan.shapes}
    norms = {
        (re.sub(r"\d+", "#", "/".join(map(str, keys))), getattr(layer, "epsilon", None))
        for keys, layer in nnx.iter_modules(module)
        if hasattr(layer, "epsilon")
    }
    return leaves, norms


def test_official_outputs_are_those_of_the_golden_files():
    from backbones import test_golden

    compared = {*test_golden.NETWORKS.values(), *test_golden.TWINS_OF_ARCFACE}
    assert names("official") == compared


@pytest.mark.slow  # it makes the shapes of every network
def test_every_layer_is_compared_in_a_pair_of_the_same_structure():
    pytest.importorskip("torch")
    from backbones.twins.pairs import PAIRS

    pairs = [structure(blueprint(pair.port)) for pair in PAIRS.values()]
    for name in names("twin") | names("official"):
        assert structure(ARCHITECTURES[name].blueprint) in pairs, name


def test_mxnets_are_the_module_that_numpy_is_compared_with():
    # As tests/backbones/test_lresnet.py makes it.
    small = blueprint(
        lambda rngs: iresnet.IResNet(
            (1, 2, 1, 1), widths=(2, 3, 3, 4), epsilon=2e-5, embedding_dim=5, rngs=rngs
        )
    )
    assert names("numpy") == {f"mxnet_iresnet{depth}" for depth in (34, 50, 100)}
    for name in names("numpy"):
        assert structure(ARCHITECTURES[name].blueprint) == structure(small)


def test_exports_are_folded_networks():
    notes = {n for n, a in ARCHITECTURES.items() if "exported" in a.description}
    assert names("export") == notes
    assert all(ARCHITECTURES[name].folded is not None for name in notes)


def test_the_command_says_it():
    for name in ("arcface_iresnet18", "adaface_ir18", "sface", "demo"):
        assert dict(details(name))["verified against"] == KINDS[KIND_OF[name]]
