"""One file per river: lending, coins, exchanges, series, prices. The only steps that any driver calls.

The command line, the scheduler, Dagster and programs all go through these, so what a word does cannot differ between them.
What does not belong here: mechanics that name no vendor and no table (flow), and text for people (cli).
"""
