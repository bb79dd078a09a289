"""Does it hold together? Checks over finished tables, coverage, comparison with others' totals, the report. No I/O."""
