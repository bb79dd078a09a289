"""The shared words of all rooms: partition, raw, fields, table, source, entry. No I/O, no vendor, no protocol."""
