"""Leave the PyTorch twins to the tests that import them: PyTorch may be absent."""

collect_ignore = ["twins"]
