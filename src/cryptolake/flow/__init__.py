"""Mechanics that name no vendor, no table and no SQL: planning, collecting, reading, repairing, scheduling.

What does not belong here: which tables and vendors there are (work), watching (watch) and other machines (cluster).
"""
