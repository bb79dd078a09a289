"""`Database`: the PostgreSQL of a data folder, the user's own or the embedded one, and who may do what in it.

What does not belong here: what a session does (warehouse), how the embedded server runs (server), who reads (reader).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cryptolake.contracts.table import Table
from cryptolake.publish import server
from cryptolake.publish.reader import Reader
from cryptolake.publish.warehouse import Warehouse


class Database:
    """Where it is and as whom it is asked; connects to nothing before it is used.

    `address` is the user's own server (None: the embedded one under `data`), `reader` the user's own login for queries,
    both secrets; `schema` holds the tables that `tables` names when a session is first opened.
    """

    def __init__(
        self,
        data: Path,
        *,
        address: str | None,
        reader: str | None,
        schema: str | None,
        tables: Callable[[], Sequence[Table]],
    ) -> None:
        self._data, self._address, self._reader, self._schema = data, address, reader, schema
        self._tables, self._is_set_up = tables, False

    @property
    def is_embedded(self) -> bool:
        """Whether it is the data folder's own server."""
        return self._address is None

    @property
    def is_running(self) -> bool:
        """Whether the embedded server of this data folder is running."""
        return server.is_running(self._data)

    def url(self) -> str:
        """The URL, of the embedded server once it is started. A secret."""
        return self._address or server.ensure_running(self._data)

    def stop(self) -> None:
        """Stop the embedded server of this data folder."""
        server.stop_embedded(self._data)

    def make_schema(self, name: str) -> None:
        """Make a schema for another program."""
        with Warehouse.open(self._data, self.url(), name):
            pass

    @contextmanager
    def warehouse(self) -> Iterator[Warehouse]:
        """A session with every table set up."""
        with Warehouse.open(self._data, self._address, self._schema) as warehouse:
            if not self._is_set_up:
                warehouse.setup(self._tables())
                self._is_set_up = True
            yield warehouse

    def reader(self) -> Reader:
        """Who asks what a person typed: the user's reading login, else one made here, with the tables set up first.

        Raises Stop when there can be none; the owner's login is never taken instead.
        """
        if self._reader is not None:
            return Reader(self._reader, self._schema)
        with self.warehouse() as warehouse:
            return warehouse.reader(self._data, embedded=self.is_embedded)
