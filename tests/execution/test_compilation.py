"""Options of compilation: accepted here, and left out where there are none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from prefiqs_jax.execution import compilation
from prefiqs_jax.execution.compilation import compiler_options
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
