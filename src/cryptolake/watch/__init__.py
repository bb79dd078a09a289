"""For people who watch: health of running work, progress, coverage, freshness, metrics and the page that shows them.

What does not belong here: deciding or doing anything about what is seen (work), and text of the command line (cli).
"""
