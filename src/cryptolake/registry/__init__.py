"""Rows about the world (chains, markets, entities) and their typed, linted loaders. No network."""
