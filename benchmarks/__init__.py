"""Benchmarks: one file each with a `main()` that prints its table and rewrites it in README.md. Never asserted in tests."""
