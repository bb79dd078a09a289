"""From the panel to a study: transforms, exports, description, release, explanation. Needs no network, changes no table.

The parts that use pandas, statsmodels or linearmodels need the extra `research`; they say so when it is absent.
"""
