"""Options of compilation: accepted here, and left out where there are none."""

import jax
import jax.numpy as jnp
import numpy as np

from prefiqs_jax.execution import compilation
from prefiqs_jax.execution.compilation import compiler_options


def test_a_program_compiles_with_them():
    x = jnp.arange(12.0).reshape(3, 4)
    compiled = jax.jit(jnp.matmul, compiler_options=compiler_options())
    assert np.allclose(compiled(x, x.T), np.asarray(x) @ np.asarray(x).T)


def test_an_option_that_the_release_lacks_is_left_out(monkeypatch):
    monkeypatch.setattr(compilation, "LIBRARY_OPTION", "xla_cpu_no_such_option")
    assert compiler_options() == {}
