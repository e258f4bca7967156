"""How a function of images runs: precision, compilation, slices, batches."""
