"""Error-versus-discard curves: what is left of the errors once the worst images go."""
