"""What the gateway reads: devices, readings and insights, in pages, over a pool of connections that cannot write."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from psycopg import sql

from connectors.timescale.pool import Pool
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings
from schemas.instants import EPOCH
from schemas.models import Insight

# No page is larger, whatever is asked for.
MAX_PAGE = 10_000
CHECK_WAIT_S = 2.0
# What insights may be chosen by.
FILTERS = ("device_id", "metric", "kind", "severity", "source")

DAY = timedelta(days=1)
# The finest first.
ROLLUPS = {timedelta(minutes=1): ("1m", "readings_1m"), timedelta(hours=1): ("1h", "readings_1h")}
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


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


class Point(NamedTuple):
    """What was read at one instant, or within a minute or an hour from it on. The mean is None beyond 1e100."""

    ts: datetime
    mean: float | None
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of a device over time, by `raw` readings, or by `1m` or `1h`."""

    resolution: str
    points: list[Point]


class Reader:
    """One database, for many tasks of one event loop at once. Its methods raise what `Pool.run` does."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet.

        Raises:
            ConnectorError: the address is not that of a PostgreSQL database.

        """
        self._pool = Pool(settings, "reader", size=settings.pool_size, read_only=True)

    async def open(self) -> None:
        """Begin to connect, without waiting for it: a database that is away now may come."""
        await self._pool.open()

    async def close(self) -> None:
        """End the connections."""
        await self._pool.close()

    async def check(self) -> None:
        """See that the database answers and has the tables."""
        await self._pool.run(sql.SQL("select 1 from devices limit 1"), {}, wait_s=CHECK_WAIT_S)

    async def devices(self, *, tenant: str | None, prefix: str = "", after: str, limit: int) -> list[DeviceRow]:
        """List the devices (of one tenant) whose ids begin so and come after `after`, in the order of their ids."""
        values = {"tenant": tenant, "prefix": prefix, "after": after, "limit": _bounded(limit)}
        rows = await self._pool.run(query("list_devices"), values)
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
        return [ReadingRow(**row) for row in await self._pool.run(query(name), parameters)]

    async def series(
        self, device_id: str, metric: str, *, start: datetime | None, end: datetime | None, points: int
    ) -> Series:
        """Give one metric of a device from `start` on and before `end`, oldest first, in no more than so many points.

        Readings as they are where they are few enough, else by the minute, else the newest by the hour. Without `start`
        it is the day before `end`, and without that the day before the last reading.
        """
        of = {"device_id": device_id, "metric": metric}
        if end is None and start is None:
            found = await self._pool.run(query("last_reading"), of)
            end = found[0]["ts"] + timedelta(microseconds=1) if found else None
        end = end or LATEST
        start = start or max(EARLIEST + DAY, end) - DAY
        values: dict[str, object] = {
            **of,
            "start": start,
            "end": end,
            "limit": _bounded(points),
            "most": _bounded(points),
        }
        if not await self._pool.run(query("reading_beyond"), values):
            rows = await self._pool.run(query("readings_of_metric"), values)
            raw = [Point(row["ts"], row["value"], row["value"], row["value"], 1) for row in reversed(rows)]
            return Series("raw", raw)
        widths = [width for width in ROLLUPS if (end - start) / width <= points] or list(ROLLUPS)[-1:]
        width = widths[0]
        # A bucket that begins before the range is a part of it.
        values |= {"start": start - (start - EPOCH) % width}
        resolution, view = ROLLUPS[width]
        rows = await self._pool.run(query("points_of_rollup", view=view), values)
        return Series(resolution, [Point(**row) for row in reversed(rows)])

    async def metrics(self, device_id: str, *, limit: int) -> list[str]:
        """Give the metrics that a device has readings of, in order."""
        found = await self._pool.run(query("metrics_of_device"), {"device_id": device_id, "limit": _bounded(limit)})
        return [row["metric"] for row in found]

    async def insights(
        self, *, tenant: str | None, only: Mapping[str, str], before: tuple[datetime, UUID] | None, limit: int
    ) -> list[Insight]:
        """List insights, newest first; `before` is the creation and the id of the last one of the page before.

        `only` gives the values that the columns `FILTERS` must have; others are left out.
        """
        created, insight_id = before or (LATEST, UUID(int=0))
        wanted = {name: only[name] for name in FILTERS if name in only}
        if tenant is not None:
            wanted["tenant"] = tenant
        filters = " ".join(f"and {name} = %({name})s" for name in wanted)
        parameters = {"created": created, "id": insight_id, **wanted, "limit": _bounded(limit)}
        rows = await self._pool.run(query("list_insights", filters=filters), parameters)
        return [Insight.model_validate({**row.pop("detail"), **row}) for row in rows]


def _bounded(limit: int) -> int:
    return max(0, min(limit, MAX_PAGE))
