"""Options that a program of a network is compiled with."""

import jax

LIBRARY_OPTION = "xla_cpu_experimental_ynn_fusion_type"


def compiler_options() -> dict[str, str | bool]:
    """Give the options for ``jax.jit`` under which a network runs fastest here.

    On a CPU, XLA hands float32 convolutions and matrix products to the YNNPACK library
    by default, which runs a convolution of 64 channels on one core (98 GFLOP/s on two
    cores, where XLA's own reaches 170) and takes up to twice as long for a matrix
    product. An empty list of what the library may take turns it off.

    Returns
    -------
    dict
        For ``jax.jit(…, compiler_options=…)`` or ``Lowered.compile``; empty where there
        is nothing to choose, as on a GPU or in a release of JAX without this option.
    """
    options: dict[str, str | bool] = {LIBRARY_OPTION: ""}
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=options)
    except jax.errors.JaxRuntimeError:  # names of options come and go with releases
        return {}
    return options
