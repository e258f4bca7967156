"""Convolutions as CPUs run them fast: Winograd, shifted products, XLA's own.

Everything here computes the convolution of ``jax.lax``, in another way where one is
quicker; the tangents are exact.
"""
