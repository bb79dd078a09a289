"""A vendor of our own for tests and benchmarks: the whole simulated universe, and servers that give or spoil its answers."""
