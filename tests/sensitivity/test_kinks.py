"""Kinks: against a twin in NumPy, brute-force counts and closed forms, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import globally, magnitude, pruning_delta
from prefiqs_jax.sensitivity import (
    activations,
    displacement,
    drift,
    embed,
    embedding_jvp,
    first_order_jump,
    frozen,
    kink_split,
    linearise_kinks,
    near_kinks,
    open_kinks,
    predicted_flips,
    sides_of,
    sign_flips,
    taylor,
    unit,
)

RNG = np.random.default_rng(0)
BATCH = 4
EPSILON = float(np.finfo(float).eps)


def draw(*shape):
    return RNG.standard_normal(shape)


PARAMS = {
    "stem": {"kernel": draw(3, 3, 3, 6) / 5, "bias": draw(6)},
    "act": {"slope": RNG.uniform(-1.5, 1.5, 6)},
    "hidden": {"kernel": draw(6 * 16, 12) / 3},
    "wide": {"kernel": draw(12, 10) * 2},
    "fc": {"kernel": draw(10, 5)},
}
IMAGES = jnp.asarray(draw(BATCH, 6, 6, 3))
NAMES = ["act", "after hidden", "after wide", "after wide at 6", "after wide (2)"]


def network(params, images):
    """PReLU, ReLU, ReLU6 and abs, each in a call of its own."""
    x = jax.lax.conv_general_dilated(
        images,
        params["stem"]["kernel"],
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    x = x + params["stem"]["bias"][None, None, None]
    x = jax.jit(prelu)(x, params["act"]["slope"])
    x = jax.nn.relu(x.reshape(len(x), -1) @ params["hidden"]["kernel"])
    x = jax.nn.relu6(x @ params["wide"]["kernel"])
    return jnp.abs(x - 1) @ params["fc"]["kernel"]


def prelu(x, slope):
    return jnp.where(x > 0, x, slope[None, None, None] * x)


def twin(params, images, sides=None):
    """Give (raw embeddings, {name: inputs}) in NumPy, on sides of another network."""
    params = jax.tree.map(np.asarray, params)
    windows = np.lib.stride_tricks.sliding_window_view(images, (3, 3), axis=(1, 2))
    inputs = {}

    def at(name, a):
        inputs[name] = a
        return (a if sides is None else sides[name]) > 0

    x = np.einsum("byxchw,hwco->byxo", windows, params["stem"]["kernel"])
    x = x + params["stem"]["bias"]
    x = np.where(at("act", x), x, params["act"]["slope"] * x)
    x = x.reshape(len(x), -1) @ params["hidden"]["kernel"]
    x = np.where(at("after hidden", x), x, 0)
    x = x @ params["wide"]["kernel"]
    low, high = at("after wide", x), at("after wide at 6", np.maximum(x, 0) - 6)
    x = np.where(high, 6, np.where(low, x, 0))
    x = np.where(at("after wide (2)", x - 1), x - 1, 1 - x)
    return x @ params["fc"]["kernel"], inputs


@jax.jit
def flips_of_network(params, delta, images):
    """Give (real, predicted) flips."""
    find = activations(network)
    return tuple(
        count(find, params, delta, images) for count in (sign_flips, predicted_flips)
    )


def pruned(params, delta):
    return jax.tree.map(np.add, params, delta)


@pytest.fixture
def delta():
    return pruning_delta(PARAMS, globally(magnitude)(PARAMS, 0.4))


def test_inputs_are_those_of_the_twin():
    found = jax.jit(activations(network))(PARAMS, IMAGES)
    raw, expected = twin(PARAMS, IMAGES)
    assert np.abs(network(PARAMS, IMAGES) - raw).max() < 1e-12
    assert list(expected) == NAMES  # jit sorts those that are found
    assert open_kinks(network, PARAMS, IMAGES).names == tuple(NAMES)
    for name in NAMES:
        assert np.abs(found[name] - expected[name]).max() < 1e-12, name


def test_flips_are_counted(delta):
    before, after = (twin(p, IMAGES)[1] for p in (PARAMS, pruned(PARAMS, delta)))
    found, _ = flips_of_network(PARAMS, delta, IMAGES)
    total = 0
    for name in NAMES:
        for image in range(BATCH):
            pairs = zip(before[name][image].flat, after[name][image].flat, strict=True)
            count = sum((a >= 0) != (b >= 0) for a, b in pairs)
            assert found[name][image] == count, name
            total += count
        assert found[name].sum() > 0, name
    assert total < sum(a.size for a in before.values()) / 2


def test_zero_is_not_negative():
    def inputs(p, x):
        return {"relu": x * p}

    def count(theta, delta):
        ones = jnp.ones((1, 1))
        return sign_flips(inputs, theta * ones, delta * ones, ones)["relu"]

    assert count(0.0, 1.0) == count(1.0, -1.0) == count(-0.0, 1.0) == 0
    assert count(0.0, -1.0) == count(-1.0, 1.0) == 1


def test_predicted_flips(delta):
    """Inputs moved by central differences of the twin."""
    step = 1e-6
    ahead, here, behind = (
        twin(jax.tree.map(lambda w, d, t=t: w + t * d, PARAMS, delta), IMAGES)[1]
        for t in (step, 0, -step)
    )
    real, found = flips_of_network(PARAMS, delta, IMAGES)
    for name in NAMES:
        moved = here[name] + (ahead[name] - behind[name]) / (2 * step)
        flips = (moved >= 0) != (here[name] >= 0)
        assert (found[name] == flips.sum(tuple(range(1, flips.ndim)))).all(), name
    assert any((found[name] != real[name]).any() for name in NAMES)
    # The first layer is linear in its weights.
    assert (found["act"] == real["act"]).all()


def test_frozen_network_is_that_of_the_twin(delta):
    fixed = frozen(network, PARAMS, IMAGES)
    assert (fixed(PARAMS) == embed(network, PARAMS, IMAGES)).all()
    _, sides = twin(PARAMS, IMAGES)
    raw, _ = twin(pruned(PARAMS, delta), IMAGES, sides)
    found = fixed(pruned(PARAMS, delta))
    assert np.abs(found - unit(raw)).max() < 1e-12
    moved = embed(network, pruned(PARAMS, delta), IMAGES)
    assert np.abs(found - moved).max() > 1e-2


def gradients(function, params):
    """Pull one random covector back."""
    raw, pull = jax.vjp(function, params)
    covector = np.random.default_rng(1).standard_normal(raw.shape)
    return jax.tree.leaves(pull(jnp.asarray(covector)))


@pytest.mark.slow
def test_frozen_network_has_the_derivatives():
    fixed = frozen(network, PARAMS, IMAGES)
    ours = gradients(jax.jit(fixed), PARAMS)
    theirs = gradients(jax.jit(lambda p: embed(network, p, IMAGES)), PARAMS)
    for one, two in zip(ours, theirs, strict=True):
        assert np.abs(one - two).max() < 1e-13 * np.abs(two).max()


def test_split_adds_up(delta):
    @jax.jit
    def both(*arguments):
        _, jvp = embedding_jvp(network, *arguments)
        left = displacement(network, *arguments) - jvp
        return kink_split(network, *arguments), left

    split, left = both(PARAMS, delta, IMAGES)
    assert np.abs(split.smooth + split.kinks - left).max() < 1e-14
    assert (np.linalg.norm(split.kinks, axis=-1) > 1e-3).all()


@pytest.mark.slow
def test_no_kinks_without_flips(delta):
    tiny = jax.tree.map(lambda d: 1e-4 * d, delta)
    flips, _ = flips_of_network(PARAMS, tiny, IMAGES)
    assert not any(count.any() for count in flips.values())
    split = kink_split(network, PARAMS, tiny, IMAGES)
    assert (split.kinks == 0).all()
    assert (split.smooth != 0).any()
    # Curvature is of second order.
    half = kink_split(network, PARAMS, jax.tree.map(lambda d: d / 2, tiny), IMAGES)
    ratio = np.linalg.norm(split.smooth) / np.linalg.norm(half.smooth)
    assert ratio == pytest.approx(4, rel=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 3])
def test_passes_are_shared(delta, order):
    @jax.jit
    def together(params, deltas, images):
        opened = open_kinks(network, params, images)
        found = linearise_kinks(opened, params, images, order)

        def step(delta):
            return found.expand(delta), found.prune(delta), found.frozen(delta)

        return found.dense[:2], jax.lax.map(step, deltas)

    other = jax.tree.map(lambda d: -d / 3, delta)
    deltas = jax.tree.map(lambda *both: jnp.stack(both), delta, other)
    (embedding, norm), found = together(PARAMS, deltas, IMAGES)
    raw = network(PARAMS, IMAGES)
    assert np.abs(norm - np.linalg.norm(raw, axis=-1)).max() < 1e-13
    fixed_network = jax.jit(frozen(network, PARAMS, IMAGES))
    first = jax.jit(lambda d: embedding_jvp(network, PARAMS, d, IMAGES))
    series = jax.jit(lambda d: taylor(network, PARAMS, d, IMAGES, order))
    distance = jax.jit(lambda d: drift(network, PARAMS, d, IMAGES))
    for at, direction in enumerate((delta, other)):
        (along, predicted), moved, fixed = jax.tree.map(lambda v, i=at: v[i], found)
        assert np.abs(along[0] - first(direction)[1]).max() < 1e-13
        expected = series(direction)
        assert np.abs(along - expected).max() < 1e-12 * np.abs(expected).max()
        expected = np.linalg.norm(moved.embedding - embedding, axis=-1)
        assert np.abs(distance(direction) - expected).max() < 1e-13
        expected = fixed_network(pruned(PARAMS, direction))
        assert np.abs(fixed - expected).max() < 1e-13
        counts = moved.flips, predicted
        for ours, alone in zip(
            counts, flips_of_network(PARAMS, direction, IMAGES), strict=True
        ):
            assert all((ours[name] == alone[name]).all() for name in NAMES)


def test_weights_in_another_form(delta):
    def build(leaves):
        return jax.tree.unflatten(jax.tree.structure(PARAMS), leaves)

    opened = open_kinks(network, PARAMS, IMAGES).of(build)
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(PARAMS)]

    @jax.jit
    def flips(leaves, delta, images):
        return linearise_kinks(opened, leaves, images).prune(delta).flips

    counts = flips(leaves, jax.tree.leaves(delta), IMAGES)
    alone, _ = flips_of_network(PARAMS, delta, IMAGES)
    assert all((counts[name] == alone[name]).all() for name in NAMES)


# Function of one activation to the names of its kinks after a dense layer "fc".
FUNCTIONS = {
    jax.nn.relu: ["after fc"],
    jax.nn.relu6: ["after fc", "after fc at 6"],
    jax.nn.leaky_relu: ["after fc"],
    jax.nn.hard_tanh: ["after fc at 1", "after fc at -1"],
    jax.nn.hard_swish: ["after fc", "after fc at 6"],  # of x + 3
    jax.nn.elu: ["after fc"],
    jax.nn.celu: ["after fc"],
    jax.nn.selu: ["after fc"],
    jax.nn.soft_sign: ["after fc"],
    jnp.sign: ["after fc"],
    jax.nn.gelu: [],
    jax.nn.silu: [],
    jax.nn.sigmoid: [],
    jax.nn.softplus: [],
    jax.nn.softmax: [],
    jax.nn.log_softmax: [],
    jax.nn.log_sigmoid: [],
    jax.nn.mish: [],
    jnp.tanh: [],
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_functions(function):
    def apply_fn(p, x):
        # The second copy is in a checkpoint.
        hidden = function(x @ p["fc"]["kernel"])
        return jax.checkpoint(function)(hidden @ p["last"]["kernel"])

    params = {"fc": {"kernel": draw(3, 4)}, "last": {"kernel": draw(4, 4)}}
    images = jnp.asarray(draw(5, 3))
    expected = FUNCTIONS[function]
    opened = open_kinks(apply_fn, params, images)
    last = [name.replace("fc", "last") for name in expected]
    assert list(opened.names) == expected + last
    raw, inputs = opened.observe(params, images)
    # A jitted part is compiled as one there, and may be rounded otherwise.
    np.testing.assert_array_max_ulp(raw, np.asarray(apply_fn(params, images)), 4)
    assert all(value.shape == (5, 4) for value in inputs.values())
    sides = sides_of(inputs)
    assert (opened.frozen(params, images, sides) == raw).all()


ON_THE_KINK = [
    jax.nn.relu,
    jax.nn.relu6,
    jax.nn.leaky_relu,
    jax.nn.elu,
    jnp.abs,
    lambda x: jnp.maximum(x, 0),
    lambda x: jnp.maximum(0, x),
    lambda x: jnp.minimum(x, 0),
    lambda x: jnp.minimum(6, x),
    lambda x: jax.lax.clamp(0.0, x, 6.0),
    lambda x: jnp.where(x < 0, -x, x),
    lambda x: jnp.where(x >= 0, x, -x),
    lambda x: jnp.where(x < 6, x, 6),
    lambda x: x * jnp.sign(x),
    lambda x: jnp.maximum(x, 2 * x),
    lambda x: x * (x > 0).astype(x.dtype),
]


@pytest.mark.parametrize("function", ON_THE_KINK)
def test_derivatives_on_the_kink(function):
    """Exactly at 0 and 6 too, values and derivatives are those that JAX has."""
    x = jnp.asarray([[-1.0, 0.0, 1.0, 6.0, 7.0]])
    ones = jnp.ones((1, 5))

    def apply_fn(p, x):
        return function(x * p)

    opened = open_kinks(apply_fn, ones, x)
    _, inputs = opened.observe(ones, x)
    sides = sides_of(inputs)
    expected = jax.jvp(lambda p: apply_fn(p, x), (ones,), (ones,))
    for same in (
        lambda p: opened.observe(p, x)[0],
        lambda p: opened.frozen(p, x, sides),
    ):
        for ours, theirs in zip(jax.jvp(same, (ones,), (ones,)), expected, strict=True):
            assert (ours == theirs).all()


def test_nan_stays():
    x = jnp.asarray([[np.nan, 1.0]])
    for function in (jax.nn.relu, jax.nn.relu6, jnp.abs, lambda x: jnp.maximum(x, 0)):
        opened = open_kinks(lambda p, x, f=function: f(x * p), jnp.ones((1, 2)), x)
        assert np.isnan(opened.observe(jnp.ones((1, 2)), x)[0][0, 0])


REFUSED = {
    "reduce_max after fc": lambda x: x - x.max(-1, keepdims=True),
    "reduce_window_max after fc": lambda x: jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 2), (1, 2), "VALID"
    ),
    "sort after fc": lambda x: jnp.sort(x, axis=-1),
    "top_k after fc": lambda x: jax.lax.top_k(x, 2)[0],
    "round after fc": jnp.round,
    "floor after fc": lambda x: x * jnp.floor(x),
    "convert_element_type after fc": lambda x: x * x.astype(int).astype(x.dtype),
    "what is inside of scan after fc": lambda x: jax.lax.map(jax.nn.relu, x),
    "what is inside of cond after fc": lambda x: jax.lax.cond(
        True, jax.nn.relu, jnp.abs, x
    ),
}


@pytest.mark.parametrize("said", REFUSED)
def test_refused(said):
    params = {"fc": {"kernel": draw(3, 4)}}
    find = activations(lambda p, x: REFUSED[said](x @ p["fc"]["kernel"]))
    with pytest.raises(InputError, match=f"^{said} is not smooth .*; pass activations"):
        find(params, IMAGES[:, 0, 0])


def test_hidden_from_the_derivative():
    """What stop_gradient hides, or nothing uses, or a loop without kinks, is let be."""

    def apply_fn(p, x):
        x = x @ p["fc"]["kernel"]
        jnp.sort(x)
        shift = jax.lax.stop_gradient(jnp.round(x.max(-1, keepdims=True)))
        x, _ = jax.lax.scan(lambda c, _: (jax.nn.softmax(c), None), x - shift, length=2)
        return x

    assert activations(apply_fn)({"fc": {"kernel": draw(3, 4)}}, IMAGES[:, 0, 0]) == {}


def test_maxout():
    """The larger of two halves, each of which is compared with 0 before."""

    def apply_fn(p, x):
        left, right = jnp.split(x @ p["fc"]["kernel"], 2, axis=-1)
        return jnp.maximum(jax.nn.relu(left), jax.nn.relu(right))

    params, images = {"fc": {"kernel": jnp.asarray(draw(3, 8))}}, IMAGES[:, 0, 0]
    found = activations(apply_fn)(params, images)
    left, right = np.split(np.asarray(images @ params["fc"]["kernel"]), 2, axis=-1)
    expected = left, right, np.maximum(left, 0) - np.maximum(right, 0)
    assert list(found) == ["after fc", "after fc (2)", "after fc (3)"]
    for ours, theirs in zip(found.values(), expected, strict=True):
        assert np.abs(ours - theirs).max() < 1e-14
    fixed = frozen(apply_fn, params, images)
    assert (fixed(params) == embed(apply_fn, params, images)).all()


def test_smooth_networks_have_no_flips():
    def apply_fn(p, x):
        return jnp.tanh(x @ p)

    params, images = jnp.asarray(draw(3, 4)), IMAGES[:, 0, 0]
    delta = -params / 2
    assert sign_flips(activations(apply_fn), params, delta, images) == {}
    assert predicted_flips(activations(apply_fn), params, delta, images) == {}
    assert (kink_split(apply_fn, params, delta, images).kinks == 0).all()


def tokens_first(p, x):
    """(tokens, images, features)."""
    x = jnp.einsum("bpqc,cd->pbqd", x, p["fc"]["kernel"])
    return jax.nn.relu(x).sum((0, 2))


def tokens_merged(p, x):
    x = x.reshape(-1, 3) @ p["fc"]["kernel"]
    return jax.nn.relu(x).reshape(-1, 36, 4).sum(1)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 6])  # 6 tokens a row
@pytest.mark.parametrize("apply_fn", [tokens_first, tokens_merged])
def test_images_are_told_from_tokens(apply_fn, count):
    params, images = (
        {"fc": {"kernel": jnp.asarray(draw(3, 4))}},
        jnp.asarray(draw(count, 6, 6, 3)),
    )
    delta = jax.tree.map(lambda w: jnp.where(w > 0.3, -2 * w, 0.0), params)
    count = jax.jit(lambda *all_: sign_flips(activations(apply_fn), *all_))
    ours = count(params, delta, images)["after fc"]
    inputs = [
        np.einsum("bpqc,cd->bpqd", images, p["fc"]["kernel"])
        for p in (params, pruned(params, delta))
    ]
    flips = (inputs[0] < 0) != (inputs[1] < 0)
    assert (ours == flips.sum((1, 2, 3))).all()
    assert (ours > 0).all()
    fixed = frozen(apply_fn, params, images)
    assert (fixed(params) == embed(apply_fn, params, images)).all()


def test_images_mixed_with_tokens():
    def apply_fn(p, x):
        x = jnp.einsum("bpqc,cd->pqbd", x, p["fc"]["kernel"]).reshape(-1, 4)
        return jax.nn.relu(x).reshape(36, -1, 4).sum(0)

    with pytest.raises(InputError, match=r"^after fc: .* shape \(144, 4\) .* 4 images"):
        activations(apply_fn)({"fc": {"kernel": draw(3, 4)}}, IMAGES)


def test_what_holds_no_kink_stays_whole():
    """A checkpoint, and a jitted function, are opened only for what is in them."""

    def apply_fn(p, x):
        x = jax.checkpoint(lambda x: jnp.tanh(x @ p["a"]["kernel"]))(x)
        return jax.nn.silu(jax.checkpoint(jax.nn.relu)(x @ p["b"]["kernel"]))

    params = {"a": {"kernel": draw(3, 4)}, "b": {"kernel": draw(4, 4)}}
    images = IMAGES[:, 0, 0]
    opened = open_kinks(apply_fn, params, images)
    program = jax.make_jaxpr(opened.observe)(params, images)
    calls = [equation.primitive.name for equation in program.eqns]
    assert calls.count("checkpoint") + calls.count("remat2") == 1
    assert opened.names == ("after b",)


@pytest.mark.slow
def test_near_kinks_and_the_jump():
    """Closed form: one unit of |a| = 1e-9 whose other branch is nothing."""
    images = jnp.asarray([[1.0, 2.0, 3.0], [1.0, 2.0, 1e-9]])

    def apply_fn(p, x):
        return jnp.concatenate([x[:, :2], jax.nn.relu(x[:, 2:] * p)], -1)

    params, delta = jnp.ones((1, 1)), -jnp.ones((1, 1))
    find = activations(apply_fn)
    # Relative to the input itself, which is alone.
    assert near_kinks(find, params, images, 0.9 / EPSILON)["images"].tolist() == [0, 0]
    assert near_kinks(find, params, images, 1.1 / EPSILON)["images"].tolist() == [1, 1]
    jump = jax.jit(first_order_jump, static_argnums=(0, 4))
    far = jump(apply_fn, params, delta, images, 1.1 / EPSILON)
    _, jvp = embedding_jvp(apply_fn, params, delta, images)
    assert np.abs(far[0] - np.linalg.norm(jvp[0])).max() < 1e-15
    assert np.abs(jump(apply_fn, params, delta, images, 0.9 / EPSILON)).max() < 1e-15


def test_direction_that_does_not_fit(delta):
    with pytest.raises(InputError, match="act/slope: delta is float32"):
        sign_flips(
            activations(network),
            PARAMS,
            jax.tree.map(lambda d: d.astype("f4"), delta),
            IMAGES,
        )
    with pytest.raises(InputError, match="structure"):
        kink_split(network, PARAMS, {"fc": delta["fc"]}, IMAGES)
