"""Face-recognition networks as Flax NNX modules, one family a file."""
