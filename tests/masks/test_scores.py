"""Scores against closed forms, and against derivatives taken another way."""

from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax import masks
from prefiqs_jax.errors import InputError
from prefiqs_jax.masks import Context, instance_discrimination
from prefiqs_jax.masks.scores import find_score
from prefiqs_jax.sensitivity import embed, first_order
from prefiqs_jax.trees import named_leaves

RNG = np.random.default_rng(1)
FIRST, SECOND = RNG.standard_normal((5, 4)), RNG.standard_normal((4, 3))
LINEAR = {"a": FIRST, "b": SECOND}
INPUTS = RNG.standard_normal((7, 5))


def linear(params, x):
    return x @ params["a"] @ params["b"]


def raw_loss(weights):
    """Loss of unit embeddings that is linear in them: sum of w · z."""
    return lambda z, _: z @ weights


def score(name, context, params=LINEAR):
    function: Any = find_score(name).make(0)
    bound = context.bind(params)
    return {
        n: np.asarray(function(n, np.asarray(w), bound))
        for n, w in named_leaves(params)
    }


@pytest.fixture
def context():
    return Context(linear, INPUTS, 0)


def test_wanda_on_one_layer():
    w, x = RNG.standard_normal((5, 3)), RNG.standard_normal((11, 5))
    context = Context(lambda p, images: images @ p["w"], x, batch_size=4)
    found = score("wanda", context, {"w": w})["w"]
    np.testing.assert_allclose(found, abs(w) * np.linalg.norm(x, axis=0)[:, None])


def test_wanda_sees_what_a_convolution_sees():
    torch = pytest.importorskip("torch")
    x = RNG.standard_normal((3, 6, 6, 4))
    kernel = RNG.standard_normal((3, 3, 2, 6))  # two groups

    def net(params, images):
        y = jax.lax.conv_general_dilated(
            images,
            params["k"],
            (2, 2),
            ((1, 1), (1, 1)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=2,
        )
        return y.sum((1, 2))

    found = Context(net, x).bind({"k": kernel}).input_norms["k"]
    patches = torch.nn.functional.unfold(
        torch.tensor(x.transpose(0, 3, 1, 2)), 3, padding=1, stride=2
    ).numpy()  # (batch, channels * 9, places)
    norms = np.sqrt((patches**2).sum((0, 2))).reshape(4, 3, 3).transpose(1, 2, 0)
    expected = np.concatenate(
        [np.repeat(norms[:, :, None, 2 * g : 2 * g + 2], 3, 2) for g in range(2)], 2
    )  # (3, 3, outputs, inputs of the group)
    np.testing.assert_allclose(found, expected.transpose(0, 1, 3, 2), rtol=1e-10)


def test_input_norms_are_the_local_jacobians():
    """By calls, slices, scales and shared weights, the sum over uses is exact."""
    w, v = RNG.standard_normal((4, 6)), RNG.standard_normal((3, 6))
    x = RNG.standard_normal((5, 4))

    @jax.checkpoint
    def inner(weights, y):
        return jax.jit(lambda a, b: b @ a)(weights, y)

    def net(params, images):
        left, right = params["w"][:, :3], params["w"][:, 3:] * 0.5
        hidden = jax.nn.relu(inner(left, images)) + inner(right, images)
        return hidden @ params["v"] + (2 * hidden) @ params["v"]

    bound = Context(net, x).bind({"w": w, "v": v})
    hidden = np.maximum(x @ w[:, :3], 0) + x @ w[:, 3:] * 0.5
    norms = np.linalg.norm(x, axis=0)[:, None]
    expected = np.concatenate([np.tile(norms, 3), np.tile(norms * 0.5, 3)], axis=1)
    np.testing.assert_allclose(bound.input_norms["w"], expected)
    expected = np.sqrt(5 * (hidden**2).sum(0))[:, None]
    np.testing.assert_allclose(bound.input_norms["v"], np.tile(expected, 6))


def test_weights_behind_a_loop_are_named():
    def net(params, images):
        return jax.lax.scan(lambda y, w: (y @ w, None), images, params["w"])[0]

    bound = Context(net, np.ones((2, 3))).bind({"w": np.ones((4, 3, 3))})
    with pytest.raises(InputError, match=r"w has no input norms: .*loop"):
        _ = bound.input_norms["w"]


def test_snip_on_a_linear_network():
    """With a loss linear in the raw output, dL/dA = Xᵀ 1 cᵀ Bᵀ / n by hand."""
    c = RNG.standard_normal(3)
    raw = {"a": FIRST, "b": SECOND}

    def norm_free(params, x):
        # The unit embedding of (y, huge) is y / huge to first order: undo the norm.
        y = linear(params, x)
        return jnp.concatenate([y, jnp.full((len(x), 1), 1e9)], axis=1)

    loss = raw_loss(jnp.asarray([*c * 1e9, 0.0]))
    found = score("snip", Context(norm_free, INPUTS, loss=loss), raw)
    mean = INPUTS.mean(0)
    by_hand = {
        "a": abs(FIRST * np.outer(mean, SECOND @ c)),
        "b": abs(SECOND * np.outer(mean @ FIRST, c)),
    }
    for name, expected in by_hand.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-6)


def test_synflow_on_a_linear_network(context):
    found = score("synflow", context)
    a, b = abs(FIRST), abs(SECOND)
    np.testing.assert_allclose(found["a"], a * b.sum(1)[None])
    np.testing.assert_allclose(found["b"], b * a.sum(0)[:, None])


def test_synflow_scales_what_overflows():
    deep = {str(i): np.full((30, 30), 1e3, np.float32) for i in range(12)}
    deep["0"][0] = 5e3

    def net(params, x):
        for i in range(12):
            x = x @ params[str(i)]
        return x

    context = Context(net, np.ones((1, 30), np.float32))
    found = score("synflow", context, deep)
    assert all(np.isfinite(s).all() for s in found.values())
    np.testing.assert_allclose(found["0"][0] / found["0"][1], 5, rtol=1e-5)


@pytest.fixture
def default_loss():
    z = np.asarray(embed(linear, LINEAR, jnp.asarray(INPUTS)))
    return instance_discrimination(jnp.asarray(z))


def per_example(default_loss):
    def one(params, image, index):
        z = embed(linear, params, image[None])
        return default_loss(z, jnp.asarray([index]))[0]

    slope = jax.jit(jax.grad(one))
    return [slope(LINEAR, image, i) for i, image in enumerate(INPUTS)]


@pytest.mark.slow
def test_fisher_and_taylor_are_of_per_example_gradients(context, default_loss):
    grads = per_example(default_loss)
    for name, w in LINEAR.items():
        each = np.stack([g[name] for g in grads])
        fisher = w**2 * (each**2).mean(0) / 2
        np.testing.assert_allclose(score("fisher", context)[name], fisher, rtol=1e-9)
        taylor = abs(w) * abs(each).mean(0)
        np.testing.assert_allclose(score("taylor", context)[name], taylor, rtol=1e-9)
        snip = abs(w * each.mean(0))
        np.testing.assert_allclose(score("snip", context)[name], snip, rtol=1e-9)


def dense_hessian(default_loss):
    flat, back = jax.flatten_util.ravel_pytree(LINEAR)

    def mean(vector):
        z = embed(linear, back(vector), jnp.asarray(INPUTS))
        return default_loss(z, jnp.arange(len(INPUTS))).mean()

    slope, curvature = jax.jit(lambda at: (jax.grad(mean)(at), jax.hessian(mean)(at)))(
        flat
    )
    return slope, curvature, back


@pytest.mark.slow
def test_obd_and_grasp_are_of_the_dense_hessian(default_loss):
    gradient, hessian, back = dense_hessian(default_loss)
    many = Context(linear, INPUTS, 0, probes=20_000)
    curvature = many.bind(LINEAR).curvature
    # Hutchinson's variance, entry by entry, is the sum of squares off the diagonal.
    spread = back(jnp.sqrt((hessian**2).sum(1) - jnp.diag(hessian) ** 2))
    exact = back(jnp.diag(hessian))
    for name in LINEAR:
        error = abs(curvature[name] - exact[name])
        assert (error < 5 * spread[name] / np.sqrt(20_000) + 1e-9).all()
        np.testing.assert_allclose(
            score("obd", many)[name], LINEAR[name] ** 2 * curvature[name] / 2
        )
    product = back(hessian @ gradient)
    found = score("grasp", many)
    for name, w in LINEAR.items():
        np.testing.assert_allclose(
            found[name], w * product[name], rtol=1e-7, atol=1e-12
        )


def test_obd_is_exact_where_the_hessian_is_diagonal():
    target = jnp.asarray(RNG.standard_normal(4))

    def net(params, x):
        # Unit embedding is x * w / ‖·‖; a fixed huge entry keeps the norm out of it.
        y = x * params["w"]
        return jnp.concatenate([y, jnp.full((len(x), 1), 1e6)], axis=1)

    def loss(z, _):
        return jnp.sum((1e6 * z[:, :4] - target[None]) ** 2, axis=1)

    x = RNG.standard_normal((3, 4))
    params = {"w": RNG.standard_normal((1, 4))}
    found = score("obd", Context(net, x, loss=loss), params)["w"]
    expected = params["w"] ** 2 * (2 * x**2).mean(0) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_contribution_is_the_drift_of_each_weight_alone():
    many = Context(linear, INPUTS, 0, probes=800)
    found = score("contribution", many)
    drift = jax.jit(lambda delta: first_order(linear, LINEAR, delta, INPUTS))
    for name, w in LINEAR.items():
        for place in np.ndindex(w.shape):
            delta = {n: np.zeros_like(v) for n, v in LINEAR.items()}
            delta[name][place] = -w[place]
            alone = np.asarray(drift(delta))
            expected = np.sqrt((alone**2).mean())
            assert found[name][place] == pytest.approx(expected, rel=0.05)
    np.testing.assert_allclose(
        score("inverse-contribution", many)["a"], -found["a"], rtol=1e-12
    )


def test_movement_needs_an_earlier_checkpoint(context):
    with pytest.raises(InputError, match="--earlier"):
        score("movement", context)
    earlier = {n: w + 1 for n, w in LINEAR.items()}
    found = score("movement", Context(linear, INPUTS, earlier=earlier))
    np.testing.assert_allclose(found["a"], -FIRST)
    with pytest.raises(InputError, match=r"no b of shape \(4, 3\)"):
        score("movement", Context(linear, INPUTS, earlier={"a": FIRST}))


def test_what_is_asked_for_twice_is_computed_once(context):
    calls = []
    bound = context.bind(LINEAR)

    def compute(ctx):
        calls.append(ctx)
        return 1

    assert bound.once(compute) == bound.once(compute) == 1
    assert calls == [bound]
    assert context.bind(dict(LINEAR)) is bound
    assert bound.gradients is bound.gradients
    assert context.bind({"a": FIRST + 1, "b": SECOND}) is not bound


@pytest.mark.slow
def test_batches_do_not_matter():
    one = Context(linear, INPUTS, 0, batch_size=7).bind(LINEAR)
    other = Context(linear, INPUTS, 0, batch_size=3).bind(LINEAR)
    for what in ("input_norms", "gradients", "second_moments", "jvp_contribution"):
        for name in LINEAR:
            np.testing.assert_allclose(
                getattr(one, what)[name], getattr(other, what)[name], rtol=1e-9
            )


def test_bad_contexts():
    with pytest.raises(InputError, match="at least one"):
        Context(linear, np.zeros((0, 5)))
    with pytest.raises(InputError, match="no weights yet"):
        _ = Context(linear, INPUTS).gradients
    zero = Context(linear, np.zeros((2, 5))).bind(LINEAR)
    with pytest.raises(InputError, match="calibration image 0 is zero"):
        _ = zero.gradients
    with pytest.raises(InputError, match=r"output/wanda needs .*Context\("):
        masks.per_output(find_score("wanda").make(0))(LINEAR, 0.5)


def test_a_constant_score_ranks_nothing():
    with pytest.raises(InputError, match=r"the score is 1.0 for every weight"):
        masks.globally(lambda name, w: np.ones(w.shape))(LINEAR, 0.5)
