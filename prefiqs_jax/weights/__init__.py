"""Read trained weights of any supported file as plain arrays, and map them strictly.

The way of a file: `source.read_source` gives named float32 arrays,
`prefixes.strip_prefix` the names that the architecture gave them, `mapping.convert` the
arrays by target name.
`store.save` writes the package's own format, which needs no guessing to be read again.
"""
