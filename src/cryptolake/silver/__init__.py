"""One file per table: its contract and a pure `conform()`. No network, disk or environment."""
