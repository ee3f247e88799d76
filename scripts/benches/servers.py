"""The servers that a bench measures on: embedded ones, or those that the settings name.

Embedded servers keep their data in a folder of their own, away from those of `tidegate up`. Each measurement gets a
database and consumer groups of its own. Topics have fixed names, so a bench that needs empty ones deletes them and
makes them anew: on a broker that the settings name it refuses to start when they are there already.
"""

import contextlib
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from confluent_kafka.admin import AdminClient
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from connectors.embedded import stack
from connectors.embedded.choice import Say
from connectors.errors import ConnectorError
from connectors.kafka.admin import Admin
from schemas.topics import TOPICS, Topic
from streams import reachable
from streams.pipeline import prepare_database
from streams.settings import Settings, load

Part = Literal["kafka", "database", "redis", "mqtt"]

# What stands for the address of a server that is neither given nor needed, so that none is started.
NOT_NEEDED = "127.0.0.1:1"
TOPICS_GONE_WITHIN_S = 60.0
POLL_S = 0.1
DATABASE_PREFIX = "tidegate_bench_"


class TopicsInUseError(ConnectorError):
    """A broker that is not the bench's own has topics of ours."""


class CommitTimesError(ConnectorError):
    """The database does not keep the times of commits."""


@dataclass(frozen=True)
class Servers:
    """Servers that run. `settings` has the addresses of those that were asked for."""

    settings: Settings
    folder: Path
    kinds: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """Give the variables that lead a process of Tidegate to these servers."""
        return environment(self.settings)

    def new_topics(self) -> None:
        """Delete Tidegate's topics with all that is in them, and make them anew."""
        delete_topics(self.settings)
        Admin(self.settings.kafka).apply(TOPICS)

    @contextlib.contextmanager
    def new_database(self) -> Iterator[Settings]:
        """Make a database with all tables, and drop it at the end.

        The settings it gives lead there, and to consumer groups that nobody used before.
        """
        name = f"{DATABASE_PREFIX}{uuid.uuid4().hex[:12]}"
        url = self.settings.database.url.get_secret_value()
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        own = make_conninfo(url, dbname=name)
        database = self.settings.database.model_copy(update={"url": SecretStr(own)})
        kafka = self.settings.kafka.model_copy(update={"group_prefix": name})
        settings = self.settings.model_copy(update={"database": database, "kafka": kafka})
        try:
            if self.kinds["database"].startswith("timescaledb"):
                with psycopg.connect(own, autocommit=True) as connection:
                    connection.execute("create extension if not exists timescaledb")
            prepare_database(database)
            yield settings
        finally:
            with psycopg.connect(url, autocommit=True) as admin:
                admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


def environment(settings: Settings) -> dict[str, str]:
    """Give the variables that lead a process of Tidegate to the servers of these settings."""
    return {
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "TIDEGATE_KAFKA__GROUP_PREFIX": settings.kafka.group_prefix,
        "TIDEGATE_DATABASE__URL": settings.database.url.get_secret_value(),
        "TIDEGATE_REDIS__URL": settings.redis.url.get_secret_value(),
        "TIDEGATE_MQTT__URL": settings.mqtt.url,
        "TIDEGATE_DATA_DIR": str(settings.data_dir.resolve()),
    }


@contextlib.contextmanager
def running(
    parts: Sequence[Part] = ("kafka", "database"), *, say: Say, commit_times: bool = False
) -> Iterator[Servers]:
    """Run the servers that a bench needs. With `commit_times` the database keeps the time of every commit.

    Raises:
        UnreachableError: a server in the settings does not answer.
        TopicsInUseError: the broker in the settings has topics of ours, which the bench would delete.
        CommitTimesError: the database in the settings does not keep the times of commits.
        ConnectorError: a server cannot be started.

    """
    settings = load()
    reachable.check(settings)
    given = {
        "kafka": settings.kafka.bootstrap_servers,
        "database": settings.database.url.get_secret_value(),
        "redis": settings.redis.url.get_secret_value(),
        "mqtt": settings.mqtt.url,
    }
    if "kafka" in parts and given["kafka"]:
        _refuse_topics_in_use(settings)
    folder = settings.data_dir.resolve() / "bench"
    wanted = {name: address if name in parts else NOT_NEEDED for name, address in given.items()}
    with contextlib.ExitStack() as started:
        own = started.enter_context(stack.start(folder / "servers", stack.Given(**wanted), say))
        if commit_times and _turn_on_commit_times(own.database.address, ours=bool(own.database.held)):
            own.stop()  # the setting takes effect at the next start
            own = started.enter_context(stack.start(folder / "servers", stack.Given(**wanted), say))
        complete = _with_addresses(settings, own, parts)
        kinds, versions = _described(own, parts)
        if "kafka" in parts:
            started.callback(delete_topics, complete)
        if "database" in parts and own.database.held:
            _drop_left_over(own.database.address)
        yield Servers(complete, folder, kinds, versions)


def delete_topics(settings: Settings, topics: Sequence[Topic] = TOPICS) -> None:
    """Delete topics and wait until they are gone."""
    client, admin = AdminClient({**settings.kafka.client(), "log_level": 0}), Admin(settings.kafka)
    names = [topic.name for topic in topics]
    there = list(admin.topics(names))
    if not there:
        return
    for future in client.delete_topics(there, operation_timeout=30).values():
        future.result()
    deadline = time.monotonic() + TOPICS_GONE_WITHIN_S
    while admin.topics(names):
        if time.monotonic() > deadline:
            raise ConnectorError(f"Kafka has not deleted the topics {', '.join(there)} yet")
        time.sleep(POLL_S)


def _refuse_topics_in_use(settings: Settings) -> None:
    there = Admin(settings.kafka).topics(topic.name for topic in TOPICS)
    if there:
        raise TopicsInUseError(
            f"{settings.kafka.bootstrap_servers} has the topics {', '.join(sorted(there))}, and a bench deletes what is"
            " in them. Let TIDEGATE_KAFKA__BOOTSTRAP_SERVERS name a broker without them, or unset it."
        )


def _turn_on_commit_times(url: str, *, ours: bool) -> bool:
    """See to it that the database keeps the times of commits; say whether it has to be started again for that."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("show track_commit_timestamp").fetchone() == ("on",):
            return False
        if not ours:
            raise CommitTimesError(
                "The database in TIDEGATE_DATABASE__URL does not keep the times of commits, which this bench reads"
                " instead of counting rows while it measures: set track_commit_timestamp = on and start it again."
            )
        connection.execute("alter system set track_commit_timestamp = on")
    return True


def _drop_left_over(url: str) -> None:
    """Drop the databases of a bench that was killed."""
    with psycopg.connect(url, autocommit=True) as admin:
        found = admin.execute("select datname from pg_database where starts_with(datname, %s)", [DATABASE_PREFIX])
        for (name,) in found.fetchall():
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def _with_addresses(settings: Settings, own: stack.Stack, parts: Sequence[Part]) -> Settings:
    update: dict[str, object] = {}
    if "kafka" in parts:
        update["kafka"] = settings.kafka.model_copy(update={"bootstrap_servers": own.kafka.address})
    if "database" in parts:
        update["database"] = settings.database.model_copy(update={"url": SecretStr(own.database.address)})
    if "redis" in parts:
        update["redis"] = settings.redis.model_copy(update={"url": SecretStr(own.redis.address)})
    if "mqtt" in parts:
        update["mqtt"] = settings.mqtt.model_copy(update={"url": own.mqtt.address})
    return settings.model_copy(update=update)


def _described(own: stack.Stack, parts: Sequence[Part]) -> tuple[dict[str, str], dict[str, str]]:
    """Give the kind of each server, and its version under a name that says both."""
    servers = {"kafka": own.kafka, "database": own.database, "redis": own.redis, "mqtt": own.mqtt}
    kinds = {name: server.kind for name, server in servers.items() if name in parts}
    versions = {
        server.kind if server.held else name: server.version or f"given ({server.kind})"
        for name, server in servers.items()
        if name in parts
    }
    if "database" in parts:
        with psycopg.connect(own.database.address, autocommit=True) as connection:
            (version,) = connection.execute("show server_version").fetchone() or ("",)
            extension = connection.execute("select extversion from pg_extension where extname = 'timescaledb'")
            found = extension.fetchone()
        kinds["database"] = "timescaledb" if found else "postgresql"
        versions.pop("database", None)
        versions["postgresql"] = str(version)
        if found:
            versions["timescaledb"] = str(found[0])
    return kinds, versions
