"""Files on a local disk: written whole or not at all, and locks that die with their holder.

What does not belong here: what a file holds, and any place that is not a local path.
"""
