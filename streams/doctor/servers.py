"""Python, Redis, MQTT, a registry, and who may ask the gateway."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, cast

from connectors.embedded import mqtt, valkey
from connectors.redis.client import connect as connect_redis
from connectors.registry.client import Registry
from connectors.timescale.connection import connect
from schemas.topics import SUBJECTS
from streams import reachable
from streams.doctor import clocks
from streams.doctor.finding import Finding, no_address
from streams.settings import Settings

OLDEST_PYTHON: Final = (3, 11)
OLDEST_REDIS: Final = (6, 2)


def python(_settings: Settings) -> Iterator[Finding]:
    """Look at what runs this."""
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= OLDEST_PYTHON
    yield Finding("Python", fine, version, "" if fine else "Tidegate needs Python 3.11 or newer.")


def redis(settings: Settings) -> Iterator[Finding]:
    """Look at Redis.

    Raises:
        UnreachableError: it does not answer.

    """
    if not settings.redis.url.get_secret_value():
        yield no_address("Redis", valkey.SETTING)
        return
    client = connect_redis(settings.redis)
    try:
        told = cast("dict[str, object]", client.info())
        version = str(told.get("valkey_version") or told.get("redis_version", ""))
        fine = tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) >= OLDEST_REDIS
        yield Finding("Redis", fine, f"version {version}", "" if fine else "Use Redis 6.2, Valkey, or newer.")
        policy = str(told.get("maxmemory_policy", "noeviction"))
        if policy.startswith("allkeys"):
            yield Finding(
                "Redis eviction",
                fine=False,
                seen=policy,
                cure="It would forget the limits that workers share, and tasks that people poll: use volatile-lru or "
                "noeviction.",
            )

        def now() -> datetime:
            seconds, micros = client.time()
            return datetime.fromtimestamp(seconds + micros / 1e6, UTC)

        yield clocks.finding("Redis", clocks.skew_s(now))
    finally:
        client.close()


def mqtt_broker(settings: Settings) -> Iterator[Finding]:
    """Look at the MQTT broker.

    Raises:
        UnreachableError: it does not answer.

    """
    if not settings.mqtt.url:
        yield no_address("MQTT", mqtt.SETTING)
        return
    reachable.check_mqtt(settings.mqtt)
    yield Finding("MQTT", fine=True, seen=f"answers at {settings.mqtt.host}:{settings.mqtt.port}")


def registry(settings: Settings) -> Iterator[Finding]:
    """Look at the registry, if one is set.

    Raises:
        UnreachableError: it does not answer.

    """
    if not settings.registry.url:
        yield Finding("Registry", fine=True, seen="no address is set: the gateway is one, with ids of ours")
        return
    with Registry(settings.registry) as there:
        missing = there.missing(SUBJECTS)
    yield Finding(
        "Registry",
        fine=not missing or settings.registry.auto_register,
        seen=f"has not {', '.join(missing)}" if missing else f"has our schemas, at {settings.registry.url}",
        cure="" if not missing else "They are registered when a process starts, or by you: schemas/avro has them.",
    )


def keys(settings: Settings) -> Iterator[Finding]:
    """See whether anybody may ask the gateway.

    Raises:
        UnreachableError: the database does not answer.

    """
    if settings.http.open or not settings.database.url.get_secret_value():
        return
    with connect(settings.database, autocommit=True) as connection:
        if connection.execute("select to_regclass('api_keys')").fetchone() == (None,):
            return
        found = connection.execute("select exists (select from api_keys)").fetchone()
    if found == (False,):
        yield Finding(
            "Gateway keys",
            fine=True,
            seen="there are none, so a gateway lets nobody in",
            cure="tidegate keys create --help",
        )
