"""The table `api_keys`, and whose a device is."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from connectors.keys import ApiKey, Scope
from connectors.timescale.ledger import Row
from connectors.timescale.pool import Pool
from connectors.timescale.queries import query
from connectors.timescale.settings import DatabaseSettings

CONNECTIONS = 2


class KeyRing:
    """Finds keys, and the owners of devices, for the gateway; for one event loop. Raises what `Pool.run` does."""

    def __init__(self, settings: DatabaseSettings) -> None:
        """Nothing is connected yet."""
        self._pool = Pool(settings, "keys", size=CONNECTIONS, read_only=False)

    async def open(self) -> None:
        """Begin to connect, without waiting for it."""
        await self._pool.open()

    async def close(self) -> None:
        """End the connections."""
        await self._pool.close()

    async def find(self, key_id: str) -> ApiKey | None:
        """Give a key."""
        found = await self._pool.run(query("find_key"), {"id": key_id})
        return _key(found[0]) if found else None

    async def owners(self, device_ids: Collection[str]) -> dict[str, str]:
        """Give the tenant of each device that there is."""
        found = await self._pool.run(query("owners"), {"ids": list(device_ids)})
        return {row["device_id"]: row["tenant"] for row in found}

    async def claim(self, device_ids: Collection[str], tenant: str, at: datetime) -> dict[str, str]:
        """Give the tenant of each device; those that there are not become this one's."""
        await self._pool.run(query("claim_devices"), {"ids": sorted(device_ids), "tenant": tenant, "at": at})
        return await self.owners(device_ids)


def add(connection: "Connection[Row]", key: ApiKey) -> None:
    """Add a key."""
    connection.execute(query("add_key"), {**asdict(key), "scopes": sorted(key.scopes)})


def listed(connection: "Connection[Row]") -> list[ApiKey]:
    """Give all keys, the newest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return [_key(row) for row in cursor.execute(query("list_keys")).fetchall()]


def revoke(connection: "Connection[Row]", key_id: str, at: datetime) -> bool:
    """Let a key open nothing any more; say whether there is one. One that was revoked before stays as it was."""
    return connection.execute(query("revoke_key"), {"id": key_id, "at": at}).fetchone() is not None


def owned(connection: "Connection[Row]") -> Iterator[tuple[str, str]]:
    """Give tenant and id of each device that is somebody's, in the order of the tenants."""
    with connection.transaction(), connection.cursor("owned") as cursor:
        for tenant, device_id in cursor.execute(query("owned_devices")):
            yield str(tenant), str(device_id)


def give(connection: "Connection[Row]", device_ids: Collection[str], tenant: str, at: datetime, *, who: str) -> None:
    """Make devices a tenant's, whether there are any of these ids yet or not, and whosever they were.

    It is in the audit.
    """
    connection.execute(query("give_devices"), {"ids": sorted(set(device_ids)), "tenant": tenant, "at": at, "who": who})


def adopt(connection: "Connection[Row]", found: Iterable[ApiKey], owners: Mapping[str, str], at: datetime) -> None:
    """Take over keys, and the tenants of devices, from another region; what there is here stays as it is.

    But a key that was revoked there is revoked here.
    """
    devices = sorted(owners)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(query("adopt_key"), [{**asdict(key), "scopes": sorted(key.scopes)} for key in found])
        values = {"device_id": devices, "tenant": [owners[device] for device in devices], "at": at}
        cursor.execute(query("adopt_devices"), values)


def _key(row: dict[str, Any]) -> ApiKey:
    known = {scope.value for scope in Scope}
    scopes = frozenset(Scope(scope) for scope in row["scopes"] if scope in known)
    return ApiKey(**{**row, "scopes": scopes, "hash": bytes(row["hash"])})
