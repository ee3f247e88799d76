"""A pool of connections for many tasks of one event loop, which says clearly why it cannot be used."""

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, TooManyRequests

from connectors.errors import ConnectorError, SlowDownError, UnreachableError
from connectors.timescale.connection import OUTDATED, address
from connectors.timescale.settings import DatabaseSettings

STATEMENT_TIMEOUT_S = 5
# How many may wait for a connection before the next one is turned away.
MAX_WAITING = 100

_OPTIONS = f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={STATEMENT_TIMEOUT_S}s"
_READ_ONLY = f"{_OPTIONS} -c default_transaction_read_only=on"


class Pool:
    """Connections to one database."""

    def __init__(self, settings: DatabaseSettings, name: str, *, size: int, read_only: bool) -> None:
        """Nothing is connected yet; it will be when it is first used, if nobody opens it before.

        Raises:
            ConnectorError: the address is not that of a PostgreSQL database.

        """
        self._settings = settings
        self._where = address(settings.url.get_secret_value())
        self._name = name
        self._size = size
        self._options = _READ_ONLY if read_only else _OPTIONS
        self._pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]] | None = None
        self._opening = asyncio.Lock()
        self._is_closed = False

    async def open(self) -> None:
        """Begin to connect, without waiting for it: a database that is away now may come."""
        await self._opened()

    async def _opened(self) -> "AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]":
        async with self._opening:
            if self._is_closed:
                raise ConnectorError(f"the connections for {self._name} are closed")
            if self._pool is None:
                pool = self._made()
                await pool.open()
                self._pool = pool
            return self._pool

    def _made(self) -> "AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]":
        return AsyncConnectionPool(
            self._settings.url.get_secret_value(),
            min_size=1,
            max_size=self._size,
            timeout=self._settings.connect_timeout_s,
            max_waiting=MAX_WAITING,
            check=AsyncConnectionPool.check_connection,
            kwargs={
                "autocommit": True,
                "connect_timeout": max(1, round(self._settings.connect_timeout_s)),
                "options": self._options,
                "application_name": f"tidegate-{self._name}",
            },
            name=self._name,
            open=False,
        )

    async def close(self) -> None:
        """End the connections, for good."""
        async with self._opening:
            pool, self._pool, self._is_closed = self._pool, None, True
        if pool is not None:
            await pool.close()

    async def run(
        self, statement: sql.SQL | sql.Composed, parameters: Mapping[str, object], *, wait_s: float | None = None
    ) -> list[dict[str, Any]]:
        """Run a statement and give its rows.

        Raises:
            SlowDownError: the database is too busy, or the answer takes too long.
            UnreachableError: no connection can be had.
            ConnectorError: the database's schema is not ours, or the pool was closed.

        """
        pool = self._pool or await self._opened()
        try:
            async with pool.connection(wait_s) as connection, connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(statement, parameters)
                return [] if cursor.description is None else await cursor.fetchall()
        except TooManyRequests as error:
            raise SlowDownError("too many are waiting for the database") from error
        except psycopg.errors.QueryCanceled as error:
            raise SlowDownError(f"the database needs over {STATEMENT_TIMEOUT_S} s for this: ask for less") from error
        except psycopg.OperationalError as error:
            raise self._unreachable(error) from None
        except psycopg.errors.UndefinedTable as error:
            raise ConnectorError(OUTDATED) from error

    def _unreachable(self, error: psycopg.OperationalError) -> UnreachableError:
        reason = str(error).strip().splitlines()
        return UnreachableError("The database", self._where, "TIDEGATE_DATABASE__URL", reason[-1] if reason else "")
