"""The chain as a source: one file per protocol family, each an I/O-free program, and the source that drives them."""
