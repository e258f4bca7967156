"""ONNX operators in JAX, one family per file; `table` has them by name."""
