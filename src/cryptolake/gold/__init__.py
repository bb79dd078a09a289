"""One file per table: its contract and a pure `build()`. No network, disk or environment."""
