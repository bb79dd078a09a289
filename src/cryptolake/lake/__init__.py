"""Where bytes rest: bronze files, Delta tables and the ledger. Knows no vendor, no protocol and no SQL server."""
