"""What the gateway reads: devices, readings and insights, in pages, over a pool of connections that cannot write."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, TooManyRequests

from connectors.errors import ConnectorError, SlowDownError, UnreachableError
from connectors.timescale.connection import address
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings
from schemas.models import Insight

# No page is larger, whatever is asked for.
MAX_PAGE = 10_000
STATEMENT_TIMEOUT_S = 5
# How many may wait for a connection before the next one is turned away.
MAX_WAITING = 100
CHECK_WAIT_S = 2.0

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)

_OPTIONS = (
    "-c timezone=UTC -c default_transaction_read_only=on"
    f" -c statement_timeout={STATEMENT_TIMEOUT_S}s -c lock_timeout={STATEMENT_TIMEOUT_S}s"
)


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device as the table `devices` has it."""

    device_id: str
    device_class: str
    units: dict[str, str]
    tags: dict[str, str]
    first_seen: datetime
    last_seen: datetime


class ReadingRow(NamedTuple):
    """One value of one metric of a device."""

    ts: datetime
    metric: str
    value: float


class Reader:
    """One database, for many tasks of one event loop at once.

    Every method that asks the database raises `SlowDownError` where it is too busy or the answer takes too long,
    `UnreachableError` where no connection can be had, and `ConnectorError` where its schema is not ours.
    """

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet.

        Raises:
            ConnectorError: the address is not that of a PostgreSQL database.

        """
        self._settings = settings
        self._where = address(settings.url.get_secret_value())
        self._pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]] | None = None

    async def open(self) -> None:
        """Begin to connect, without waiting for it: a database that is away now may come."""
        self._pool = AsyncConnectionPool(
            self._settings.url.get_secret_value(),
            min_size=1,
            max_size=self._settings.pool_size,
            timeout=self._settings.connect_timeout_s,
            max_waiting=MAX_WAITING,
            check=AsyncConnectionPool.check_connection,
            kwargs={
                "autocommit": True,
                "connect_timeout": max(1, round(self._settings.connect_timeout_s)),
                "options": _OPTIONS,
                "application_name": "tidegate-reader",
            },
            name="reader",
            open=False,
        )
        await self._pool.open()

    async def close(self) -> None:
        """End the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def check(self) -> None:
        """See that the database answers and has the tables."""
        await self._all(sql.SQL("select 1 from devices limit 1"), {}, wait_s=CHECK_WAIT_S)

    async def devices(self, *, after: str, limit: int) -> list[DeviceRow]:
        """List the devices whose ids come after `after`, in the order of their ids."""
        rows = await self._all(query("list_devices"), {"after": after, "limit": _bounded(limit)})
        return [DeviceRow(device_class=row.pop("class"), **row) for row in rows]

    async def readings(
        self, device_id: str, *, metric: str | None, start: datetime | None, end: datetime | None, limit: int
    ) -> list[ReadingRow]:
        """Give the newest readings of a device from `start` on and before `end`, newest first."""
        parameters = {
            "device_id": device_id,
            "metric": metric,
            "start": start or EARLIEST,
            "end": end or LATEST,
            "limit": _bounded(limit),
        }
        name = "readings_of_device" if metric is None else "readings_of_metric"
        return [ReadingRow(**row) for row in await self._all(query(name), parameters)]

    async def insights(
        self, *, device_id: str | None, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[Insight]:
        """List insights, newest first; `before` is the creation and the id of the last one of the page before."""
        created, insight_id = before or (LATEST, UUID(int=0))
        of_device = "" if device_id is None else "and device_id = %(device_id)s"
        parameters = {"created": created, "id": insight_id, "device_id": device_id, "limit": _bounded(limit)}
        rows = await self._all(query("list_insights", of_device=of_device), parameters)
        return [Insight.model_validate({**row.pop("detail"), **row}) for row in rows]

    async def _all(
        self, statement: sql.SQL | sql.Composed, parameters: Mapping[str, object], *, wait_s: float | None = None
    ) -> list[dict[str, Any]]:
        if self._pool is None:
            raise ConnectorError("the reader is not open")
        try:
            async with self._pool.connection(wait_s) as connection, connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(statement, parameters)
                return await cursor.fetchall()
        except TooManyRequests as error:
            raise SlowDownError("too many are waiting for the database") from error
        except psycopg.errors.QueryCanceled as error:
            raise SlowDownError(f"the database needs over {STATEMENT_TIMEOUT_S} s for this: ask for less") from error
        except psycopg.OperationalError as error:
            raise self._unreachable(error) from None
        except psycopg.errors.UndefinedTable as error:
            raise ConnectorError("The database has not the tables of today: run `tidegate db migrate`.") from error

    def _unreachable(self, error: psycopg.OperationalError) -> UnreachableError:
        reason = str(error).strip().splitlines()
        return UnreachableError("The database", self._where, "TIDEGATE_DATABASE__URL", reason[-1] if reason else "")


def _bounded(limit: int) -> int:
    return max(0, min(limit, MAX_PAGE))
