"""Trips on many machines, by dask.distributed: opening a cluster, asking it, keeping the roll of its workers."""
