"""Error-versus-discard curves: the errors left once the worst comparisons go."""
