"""PostgreSQL: find or start a server, render DDL from contracts, load, query. The only room with a SQL driver."""
