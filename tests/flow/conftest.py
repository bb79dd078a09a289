"""The embedded PostgreSQL of the warehouse's tests, for the few flow tests that need one."""

from tests.publish.conftest import pg_data, warehouse

__all__ = ["pg_data", "warehouse"]
