"""Vendors and files that know what a token cost at an instant in the past: one file each. They fill what chains cannot say."""
