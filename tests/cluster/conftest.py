"""A real PostgreSQL for the budgets."""

from tests.publish.conftest import pg_data

__all__ = ["pg_data"]
