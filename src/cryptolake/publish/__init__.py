"""Where finished tables go: PostgreSQL (embedded, or by DATABASE_URL). The only room with the SQL driver besides state.

What does not belong here: what the tables mean (contracts, silver, gold) and the lake's own files (lake).
"""
