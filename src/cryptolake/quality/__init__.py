"""Checks that speak DeFi: invariants, coverage, reconciliation, drift. Pure functions over tables."""
