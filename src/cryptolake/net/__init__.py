"""How we talk: HTTP, JSON-RPC, limits, ABI words, blocks and logs. Knows no vendor and no protocol."""
