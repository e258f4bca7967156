"""Names of leaves in every form of a network's tree, and what may be pruned by them."""

import jax
import numpy as np
import pytest
from flax import linen, nnx, traverse_util

from prefiqs_jax import masks
from prefiqs_jax.trees import is_prunable, map_named, named_leaves, prunable_matching

POSITIONS = (
    # Flax, big_vision, scenic; then PyTorch: torchvision, timm, Hugging Face, CLIP.
    "posembed_input/pos_embedding",
    "Transformer/posembed_input/pos_embedding",
    "pos_embed",
    "pos_embed_win",
    "pos_embed1",
    "absolute_pos_embed",
    "decoder_pos_embed",
    "vit/embeddings/position_embeddings",
    "positional_embedding",
    "PositionEmbedding",
    "posEmbed",
    "pe",
    "patch_pos",
    "pixel_pos",
    "attn/rel_pos_h",
    "attn/rel_pos_w",
    "attn/rel_height",
    "attn/height_rel",
    "layers.0.blocks.1.attn.relative_position_bias_table",
    "rel_pos_bias.relative_position_bias_table",
    "attention_biases",
    "vision_model.embeddings.position_embedding.weight",
    "vision_model/embeddings/position_embedding/embedding",
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "position_embeddings/embeddings",
    "params/pos_embed/table",
)
TOKENS = (
    *("cls", "cls_token", "class_token", "dist_token", "mask_token", "reg_token"),
    *("embeddings.register_tokens", "distillation_token", "class_embedding", "probe"),
    *("latents", "embeddings/token_type_embeddings/embedding"),
    "embeddings.word_embeddings.weight",
)
BIASES = (
    *(
        "attention/query/bias",
        "in_proj_bias",
        "attn.bias_k",
        "layer_scale",
        "grn/gamma",
    ),
    *("logit_scale", "temperature", "act/negative_slope", "bn/scale", "gamma_1"),
)
WEIGHTS = (
    *("conv1/kernel", "conv1.weight", "patch_embed/proj/kernel", "patch_embed.weight"),
    *("embedding/kernel", "embedding.weight", "embedding", "fc", "head", "w"),
    *("attn/query/kernel", "attn/value/kernel", "attn/value", "in_proj_weight"),
    *("pos_proj/kernel", "pos_embed/kernel", "pos_block.0.proj.weight"),
    *("attn.cpb_mlp.0.weight", "token_projection.weight", "mlp_gamma.weight"),
    *("posterior", "type/kernel", "classifier", "composed/weight", "features"),
)


@pytest.mark.parametrize("name", [*POSITIONS, *TOKENS, *BIASES])
def test_what_is_never_pruned(name):
    assert not is_prunable(name, np.zeros((3, 4)))
    wanted = prunable_matching(".")
    assert not wanted(name, np.zeros((1, 3, 4)))


@pytest.mark.parametrize("name", WEIGHTS)
def test_what_may_be_pruned(name):
    assert is_prunable(name, np.zeros((3, 4)))
    assert not is_prunable(name, np.zeros(3))


class Vit(nnx.Module):
    """As small as it gets, with everything that is no weight."""

    def __init__(self, rngs):
        self.patch_embed = nnx.Conv(3, 8, (4, 4), rngs=rngs)
        self.pos_embed = nnx.Param(jax.random.normal(rngs(), (1, 5, 8)) / 100)
        self.cls_token = nnx.Param(jax.random.normal(rngs(), (1, 1, 8)) / 100)
        self.attention = nnx.MultiHeadAttention(2, 8, rngs=rngs)
        self.norm = nnx.LayerNorm(8, rngs=rngs)
        self.head = nnx.Linear(8, 6, rngs=rngs)


KERNELS = {
    "patch_embed/kernel",
    *(f"attention/{part}/kernel" for part in ("query", "key", "value", "out")),
    "head/kernel",
}


def forms():
    model = Vit(nnx.Rngs(0))
    _, params, _ = nnx.split(model, nnx.Param, ...)
    pure = nnx.to_pure_dict(params)
    yield "state of nnx.split", params
    yield "nnx.state", nnx.state(model, nnx.Param)
    yield "pure dict", pure
    yield "FrozenDict", linen.FrozenDict(pure)
    yield "restored by Orbax", jax.tree.map(lambda leaf: {"value": leaf}, pure)
    flat = traverse_util.flatten_dict(pure)
    yield "flattened", flat
    yield "flat state", dict(nnx.to_flat_state(params))
    yield "flattened with slashes", traverse_util.flatten_dict(pure, sep="/")
    yield "boxed", jax.tree.map(lambda leaf: linen.Partitioned(leaf, ("x",)), pure)


FORMS = dict(forms())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_tree_has_the_same_names(form):
    expected = dict(named_leaves(FORMS["pure dict"]))
    found = dict(named_leaves(FORMS[form]))
    assert set(found) == set(expected)
    for name, leaf in found.items():
        np.testing.assert_array_equal(leaf, expected[name])
    assert {name for name, leaf in found.items() if is_prunable(name, leaf)} == KERNELS


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_tree_lets_a_mask_have_its_position_embedding(form):
    params = FORMS[form]
    mask = masks.globally(masks.magnitude)(params, 0.5)
    kept = dict(named_leaves(mask))
    for name in set(kept) - KERNELS:
        assert np.all(kept[name]), name
    expected = dict(
        named_leaves(masks.globally(masks.magnitude)(FORMS["pure dict"], 0.5))
    )
    for name in KERNELS:
        np.testing.assert_array_equal(kept[name], expected[name])
    assert sum(int(np.sum(~kept[name])) for name in KERNELS) == round(
        0.5 * sum(kept[name].size for name in KERNELS)
    )


def test_a_value_among_others_keeps_its_name():
    tree = {"attn": {"key": 1, "query": 2, "value": 3}, "value": 4}
    assert [name for name, _ in named_leaves(tree)] == [
        *("attn/key", "attn/query", "attn/value", "value")
    ]
    assert named_leaves({"value": 1}) == [("value", 1)]
    nested = {"a": {"value": 1, "more": {"kernel": 2}}}
    assert dict(named_leaves(nested)) == {"a/more/kernel": 2, "a/value": 1}


def test_map_named_keeps_the_tree():
    tree = {"b": [1, (2, None)], "a": {"value": 3}}
    other = {"b": ["x", ("y", None)], "a": {"value": "z"}}
    mapped = map_named(lambda *each: each, tree, other)
    assert mapped == {
        "b": [("b/0", 1, "x"), (("b/1/0", 2, "y"), None)],
        "a": {"value": ("a", 3, "z")},
    }
    with pytest.raises(ValueError, match="Expected list"):
        map_named(lambda *each: each, tree, {"b": 1, "a": {"value": 2}})
