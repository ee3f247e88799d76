"""`tidegate doctor`: what is wrong, and what to do about it."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import typer

from connectors.embedded import kafka, mqtt, postgres, valkey
from connectors.kafka.admin import Admin
from connectors.redis.client import connect as connect_redis
from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.migrate import pending
from schemas.errors import TidegateError
from schemas.topics import TOPICS
from streams import reachable
from streams.cli.output import Json, show
from streams.settings import Settings, load

EXAMPLES = "Examples: [bold]tidegate doctor[/] · [bold]tidegate doctor --json[/]"

OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    fine: bool
    seen: str
    cure: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def command(*, as_json: Json = False) -> None:
    """Check settings, servers, topics and tables; each finding comes with its cure. Exit code 1 when one needs it."""
    settings = load()
    findings = [finding for check in CHECKS for finding in _tried(check, settings)]
    if as_json:
        show({"findings": [asdict(finding) for finding in findings]}, as_json=True)
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.fine else 'BAD '} {finding.what}: {finding.seen}")
            if finding.cure:
                print(f"     {finding.cure}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


def _tried(check: Check, settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except TidegateError as error:
        yield Finding(check.__name__.removeprefix("_"), fine=False, seen=str(error), cure="See the message.")


def _python(_settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= OLDEST_PYTHON
    yield Finding("Python", fine, version, "" if fine else "Tidegate needs Python 3.11 or newer.")


def _kafka(settings: Settings) -> Iterator[Finding]:
    if not settings.kafka.bootstrap_servers:
        yield Finding(
            "Kafka", fine=True, seen="no address is set: `tidegate up` starts one", cure=f"Set {kafka.SETTING}."
        )
        return
    admin = Admin(settings.kafka)
    yield Finding("Kafka", fine=True, seen=f"cluster {admin.cluster_id()} at {settings.kafka.bootstrap_servers}")
    there = admin.topics(topic.name for topic in TOPICS)
    for topic in TOPICS:
        if topic.name not in there:
            yield Finding(f"topic {topic.name}", fine=False, seen="missing", cure="tidegate topics apply")
        else:
            yield Finding(f"topic {topic.name}", fine=True, seen=f"{there[topic.name].partitions} partitions")


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.database.url.get_secret_value():
        yield Finding(
            "Database", fine=True, seen="no address is set: `tidegate up` starts one", cure=f"Set {postgres.SETTING}."
        )
        return
    with connect(settings.database, autocommit=True) as connection:
        kind = kind_of(connection)
        seen = f"PostgreSQL {connection.info.parameter_status('server_version')}, {kind}"
        advice = (
            "" if kind is DatabaseKind.TIMESCALEDB else "Native partitions are used: no compression, no kept roll-ups."
        )
        yield Finding("Database", fine=True, seen=seen, cure=advice)
        missing = pending(connection)
    yield Finding(
        "Schema",
        fine=not missing,
        seen=f"missing {', '.join(missing)}" if missing else "up to date",
        cure="tidegate db migrate" if missing else "",
    )


def _redis(settings: Settings) -> Iterator[Finding]:
    if not settings.redis.url.get_secret_value():
        yield Finding(
            "Redis", fine=True, seen="no address is set: `tidegate up` starts one", cure=f"Set {valkey.SETTING}."
        )
        return
    connect_redis(settings.redis).close()
    yield Finding("Redis", fine=True, seen="answers")


def _mqtt(settings: Settings) -> Iterator[Finding]:
    if not settings.mqtt.url:
        yield Finding(
            "MQTT", fine=True, seen="no address is set: `tidegate up` starts one", cure=f"Set {mqtt.SETTING}."
        )
        return
    reachable.check_mqtt(settings.mqtt)
    yield Finding("MQTT", fine=True, seen=f"answers at {settings.mqtt.host}:{settings.mqtt.port}")


def _models(settings: Settings) -> Iterator[Finding]:
    endpoints = settings.llm.endpoints
    if not endpoints:
        yield Finding(
            "Models", fine=True, seen="none: rules answer", cure="Set TIDEGATE_LLM__ENDPOINTS or OPENAI_API_KEY."
        )
    for endpoint in endpoints:
        yield Finding(f"Model {endpoint.name}", fine=True, seen=f"{endpoint.model} at {endpoint.base_url or 'OpenAI'}")


CHECKS: tuple[Check, ...] = (_python, _kafka, _database, _redis, _mqtt, _models)
