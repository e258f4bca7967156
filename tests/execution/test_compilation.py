"""Options of compilation: accepted here, and left out where there are none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.execution import compilation
from prefiqs_jax.execution.compilation import compiler_options, stored
from prefiqs_jax.sensitivity import path


def test_a_program_compiles_with_them():
    x = jnp.arange(12.0).reshape(3, 4)
    compiled = jax.jit(jnp.matmul, compiler_options=compiler_options())
    assert np.allclose(compiled(x, x.T), np.asarray(x) @ np.asarray(x).T)


def test_doubles_keep_the_library(monkeypatch):
    # XLA's own convolution of doubles is a plain loop, thirteen times as slow.
    assert compiler_options(np.float64) == {}

    def asked(dtype=np.float32):
        raise AssertionError(np.dtype(dtype).name)

    monkeypatch.setattr(path, "compiler_options", asked)
    path._programs.cache_clear()
    theta, images = jnp.ones((2, 2), jnp.float64), jnp.ones((1, 2), jnp.float64)
    with pytest.raises(AssertionError, match="float64"):
        path.path_integral(lambda p, x: x @ p, theta, theta, images)


def test_an_option_that_the_release_lacks_is_left_out(monkeypatch):
    monkeypatch.setattr(compilation, "LIBRARY_OPTION", "xla_cpu_no_such_option")
    assert compiler_options() == {}


def test_what_a_loop_stores_is_made_once():
    """A fusion of the map's body would make the kernel again for each of its sums."""

    def kernel(w, t):
        return {"of": jnp.exp(w * t), "count": jnp.full(3, 7)}

    def mapped(x, w, scales):
        def at(t):
            made = stored(lambda: kernel(w, t), t)
            total = (x * made["of"] + jnp.flip(x) * made["of"]).sum()
            return total + made["count"][0].astype(total.dtype)

        return jax.lax.map(at, scales)

    x, w, scales = jnp.arange(6.0), jnp.linspace(-1.0, 1.0, 6), jnp.array([0.5, 2.0])
    compiled = jax.jit(mapped).lower(x, w, scales).compile()
    exact = [np.sum((x + x[::-1]) * np.exp(w * t)) + 7 for t in scales]
    np.testing.assert_allclose(compiled(x, w, scales), exact, rtol=1e-6)
    if jax.default_backend() == "cpu":
        program = str(compiled.as_text())
        assert program.count(" exponential(") == 1
        assert " conditional(" in program


def test_what_is_stored_at_no_place_is_not_a_number():
    found = stored(lambda: (jnp.ones(2), jnp.ones(2, int)), jnp.array(jnp.nan))
    assert np.isnan(found[0]).all() or jax.default_backend() != "cpu"
    assert found[1].dtype == jnp.ones(2, int).dtype
