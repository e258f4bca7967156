import itertools
import json

import numpy as np
import pytest

from prefiqs_jax.backbones.zoo import ARCHITECTURES
from prefiqs_jax.errors import InputError
from prefiqs_jax.weights.mapping import Entry, convert
from prefiqs_jax.weights.prefixes import BESIDE, strip_prefix

STEM = ["conv1.weight"]
PREFIXES = [
    "",
    "module.",
    "module.module.",
    "features.",
    "features.module.",
    "module.features.",
    "model.",
    "net.",
    "backbone.",
    "model.backbone.module.",
    "feat_net.",
    "anything.at_all.",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_wrapper_is_removed_once(iresnet, prefix):
    wrapped = {prefix + name: value for name, value in iresnet.items()}
    stripped, found, ignored = strip_prefix(wrapped, STEM, iresnet)
    assert found == prefix
    assert list(stripped) == list(iresnet)
    assert all(stripped[name] is iresnet[name] for name in iresnet)
    assert not ignored


def test_the_batchnorm_called_features_survives_wrappers_of_that_name(iresnet):
    wrapped = {f"features.{name}": value for name, value in iresnet.items()}
    assert "features.features.weight" in wrapped
    assert "features.weight" not in wrapped
    stripped, _, _ = strip_prefix(wrapped, STEM, iresnet)
    assert stripped["features.weight"] is iresnet["features.weight"]


@pytest.mark.parametrize(
    "word", ["_fsdp_wrapped_module", "_orig_mod", "_checkpoint_wrapped_module"]
)
def test_wrappers_of_single_modules_are_removed_wherever_they_are(iresnet, word):
    wrapped = {
        f"module.{word}.{name.replace('0.bn', f'0.{word}.bn')}": value
        for name, value in iresnet.items()
    }
    assert any(name.count(word) == 2 for name in wrapped)
    stripped, found, _ = strip_prefix(wrapped, STEM, iresnet)
    assert (list(stripped), found) == (list(iresnet), "module.")


def test_no_tensor_is_lost_among_wrappers(iresnet):
    both = {**iresnet, **{f"_orig_mod.{name}": 0 for name in iresnet}}
    with pytest.raises(InputError, match="two or more backbones"):
        strip_prefix(both, STEM, iresnet)


@pytest.mark.parametrize(
    ("prefix", "heads"),
    [
        ("features.module.", ["parallel_fc.weight"]),
        ("features.module.", ["fc.weight", "parallel_fc.module.weight"]),
        ("module.features.", ["module.fc.weight"]),
        ("model.", ["head.kernel", "head.t", "head.batch_mean", "head.batch_std"]),
        ("", ["head.weight"]),
        ("", ["head.kernel", "head.t"]),
        ("module.", ["module.head.weight"]),
        ("backbone.", ["fc.weight", "fc.bias", "classifier.weight"]),
        ("backbone.", ["loss_fn.W", "metric_fc.weight", "arcface.weight", "margin.w"]),
        ("", ["loss_fn.W", "product.weight", "W"]),
    ],
)
def test_what_is_beside_the_backbone_is_ignored_by_name(iresnet, prefix, heads):
    wrapped = {prefix + name: value for name, value in iresnet.items()}
    wrapped |= dict.fromkeys(heads, iresnet["fc.weight"])
    stripped, _, ignored = strip_prefix(wrapped, STEM, iresnet)
    entries = {name: Entry(name, each.shape) for name, each in iresnet.items()}
    found = ARCHITECTURES["arcface_iresnet18"].needless(entries)
    unused = convert_names(stripped, entries, found)
    told = ignored | unused  # by the full name, or the one without the prefix
    assert {name.removeprefix(prefix) for name in told} == {
        head.removeprefix(prefix) for head in heads
    }
    assert set(told.values()) == {BESIDE}


def convert_names(tensors, entries, needless):
    """Give what a mapping ignores of tensors whose values do not matter."""
    floats = {name: np.zeros(np.shape(each)) for name, each in tensors.items()}
    return convert(floats, entries, needless)[1]


def test_the_backbones_own_fc_is_no_head(iresnet):
    stripped, _, ignored = strip_prefix(iresnet, STEM, iresnet)
    assert {"fc.weight", "fc.bias"} <= stripped.keys()
    assert not ignored


def test_a_stranger_beside_the_backbone_keeps_its_full_name(iresnet):
    wrapped = {f"module.{name}": value for name, value in iresnet.items()}
    wrapped["loss.centers"] = iresnet["fc.weight"]
    stripped, _, ignored = strip_prefix(wrapped, STEM, iresnet)
    assert stripped.keys() - iresnet.keys() == {"loss.centers"}
    assert not ignored


def test_without_a_stem_nothing_changes(iresnet):
    assert strip_prefix(iresnet, [], iresnet) == (iresnet, "", {})


def test_of_several_the_whole_backbone_counts(iresnet):
    both = {f"net.{name}": 0 for name in iresnet}
    both |= {"aux.conv1.weight": 0, "aux.other": 0}
    stripped, found, _ = strip_prefix(both, STEM, iresnet)
    assert found == "net."
    assert stripped.keys() - iresnet.keys() == {"aux.conv1.weight", "aux.other"}


def test_a_missing_stem_makes_no_backbones_of_its_blocks(iresnet):
    broken = {name: 0 for name in iresnet if name != "conv1.weight"}
    assert strip_prefix(broken, STEM, iresnet) == (broken, "", {})


@pytest.mark.parametrize("pair", [("teacher.", "student."), ("model.", "ema.")])
def test_two_backbones_are_refused_and_named(iresnet, pair):
    both = {prefix + name: 0 for name in iresnet for prefix in pair}
    with pytest.raises(InputError, match="two or more backbones") as caught:
        strip_prefix(both, STEM, iresnet)
    assert all(prefix in str(caught.value) for prefix in pair)


def test_a_stripped_name_never_replaces_another(iresnet):
    wrapped = {f"module.{name}": value for name, value in iresnet.items()}
    wrapped["bn1.weight"] = iresnet["bn1.weight"]
    with pytest.raises(InputError, match=r"bn1\.weight"):
        strip_prefix(wrapped, STEM, iresnet)


@pytest.mark.weights
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("architecture", "stem"),
    [
        ("arcface_iresnet18", "conv1.weight"),
        ("adaface_ir50", "input_layer.0.weight"),
        ("curricularface_ir101", "input_layer.0.weight"),
        # Its last block, `features`, has a layer of the name of the stem.
        ("arcface_mobilefacenet", "layers.0.layers.0.weight"),
        ("arcface_vit_t", "patch_embed.proj.weight"),
        ("xiaoccer_mobilefacenet", "conv1.conv.weight"),
    ],
)
def test_official_names_survive_every_wrapper(shared, architecture, stem, prefix):
    path = shared(f"golden/{architecture}.manifest.json")
    names = [entry["name"] for entry in json.loads(path.read_text())["entries"]]
    wrapped = {prefix + name: index for index, name in enumerate(names)}
    stripped, found, ignored = strip_prefix(wrapped, [stem], names)
    assert (list(stripped), found, ignored) == (names, prefix, {})


def test_any_order_of_wrappers_is_found(iresnet):
    words = ["module.", "features.", "model.", "net.", "backbone."]
    for order in itertools.permutations(words, 3):
        prefix = "".join(order)
        wrapped = {prefix + name: 0 for name in iresnet}
        stripped, found, _ = strip_prefix(wrapped, STEM, iresnet)
        assert found == prefix
        assert stripped.keys() == iresnet.keys()
