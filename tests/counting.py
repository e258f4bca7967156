"""Costs in forward passes, counted in the programs that are traced.

A network of k + 1 layers has one convolution more than one of k: what a program has
more of them is its cost in forward passes, exactly.
"""

import jax
import jax.numpy as jnp

from prefiqs_jax.execution.jaxprs import bodies

KEY = jax.random.key(0)


def network(params, images):
    x = images
    for name in sorted(params):
        axes = ("NHWC", "HWIO", "NHWC")
        x = jax.lax.conv_general_dilated(
            x, params[name], (1, 1), "SAME", dimension_numbers=axes
        )
        x = jnp.where(x > 0, x, 0.25 * x)
    return x.mean((1, 2))


def example(depth):
    """Give params and images for so many layers."""
    params = {
        f"layer{i}": jax.random.normal(key, (3, 3, 4, 4))
        for i, key in enumerate(jax.random.split(KEY, depth))
    }
    return params, jax.random.normal(KEY, (2, 3, 3, 4))


def convolutions(jaxpr):
    """Count those whose result is used; in a loop, as often as it runs.

    Of a conditional, the branch with the most convolutions counts.
    """
    used, count = set(map(id, jaxpr.outvars)), 0
    for equation in jaxpr.eqns[::-1]:
        if used.isdisjoint(map(id, equation.outvars)):
            continue
        used.update(map(id, equation.invars))
        count += equation.primitive.name == "conv_general_dilated"
        times = equation.params.get("length", 1)
        count += times * sum(map(convolutions, bodies(equation)))
        branches = equation.params.get("branches", ())
        count += max((convolutions(each.jaxpr) for each in branches), default=0)
    return count
