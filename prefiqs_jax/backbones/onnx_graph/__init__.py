"""Networks that have no port: an ONNX graph as a pure function of weights and images.

The graph is interpreted operator by operator in JAX, so that what masks prune and what
the Jacobian-vector product moves are the file's own weights, exactly.
"""

from prefiqs_jax.backbones.onnx_graph.network import OnnxNetwork, read_network

__all__ = ["OnnxNetwork", "read_network"]
