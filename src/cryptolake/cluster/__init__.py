"""Everything of Dask and SSH: opening a cluster, asking through its workers, the worker itself. The only room with Dask.

What does not belong here: what is asked (sources) and what becomes of the answers (flow, work).
"""
