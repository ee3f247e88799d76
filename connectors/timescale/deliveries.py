"""The table `webhook_deliveries`: what webhooks are to be told, in the transaction that stores what it tells of.

So nothing is forgotten, and nothing is told of that does not stand. Whoever takes a message in hand has it for a time
(`LEASE`): should they die, it is tried again.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg import Cursor

from connectors.closing import Closing
from connectors.timescale.ledger import Row
from connectors.timescale.pool import Pool
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings

# Longer than any attempt may take.
LEASE: Final = timedelta(seconds=120)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message for a webhook."""

    hook: str
    id: str
    device_id: str
    body: str
    created: datetime


@dataclass(frozen=True, slots=True)
class Taken:
    """A message that is in hand; `attempts` counts the one that begins now."""

    id: str
    device_id: str
    body: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Fared:
    """What became of an attempt: `delivered`, `dead`, or `waiting` until it is `due`."""

    id: str
    state: str
    due: datetime
    error: str | None


def add(cursor: "Cursor[Row]", deliveries: Sequence[Delivery]) -> None:
    """Have messages delivered from when they were created on; in the transaction of the caller."""
    cursor.executemany(query("add_delivery"), [asdict(one) for one in deliveries])


class Deliveries(Closing):
    """Takes messages and says what became of them; for one event loop. Its methods raise what `Pool.run` does."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet; it will be when it is first used."""
        self._pool = Pool(settings, "webhooks", size=2, read_only=False)

    async def take(self, hook: str, now: datetime, *, limit: int) -> list[Taken]:
        """Take messages that are due, the oldest first; nobody else is given them for a while."""
        values = {"hook": hook, "now": now, "until": now + LEASE, "limit": limit}
        rows = await self._pool.run(query("take_deliveries"), values)
        return [Taken(**row) for row in rows]

    async def settle(self, hook: str, fared: Sequence[Fared], now: datetime) -> None:
        """Say what became of attempts."""
        values = {
            "hook": hook,
            "now": now,
            "ids": [one.id for one in fared],
            "states": [one.state for one in fared],
            "dues": [one.due for one in fared],
            "errors": [one.error for one in fared],
        }
        await self._pool.run(query("settle_deliveries"), values)

    async def forget(self, before: datetime) -> None:
        """Delete what was delivered, or died, before that."""
        await self._pool.run(query("forget_deliveries"), {"before": before})

    async def counts(self) -> list[dict[str, Any]]:
        """Count the messages by `hook` and `state`, with the `oldest` and the last `error` of each."""
        return await self._pool.run(query("count_deliveries"), {})

    async def revive(self, hook: str | None, now: datetime, *, who: str) -> int:
        """Have messages that are dead tried again from the start, of one webhook or of all; give how many there were.

        It is in the audit.
        """
        (row,) = await self._pool.run(query("revive_deliveries"), {"hook": hook, "now": now, "who": who})
        return int(row["revived"])

    async def close(self) -> None:
        """End the connections."""
        await self._pool.close()
