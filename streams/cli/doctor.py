"""`tidegate doctor`: what is wrong, and what to do about it."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from connectors.clock import SystemClock
from connectors.embedded import kafka, mqtt, postgres, valkey
from connectors.kafka.admin import Admin
from connectors.llm import roster
from connectors.llm.budget import Budgets
from connectors.llm.checkup import examine
from connectors.llm.cures import Sign
from connectors.llm.settings import Endpoint
from connectors.redis.client import connect as connect_redis
from connectors.registry.client import Registry
from connectors.timescale.connection import DatabaseKind, connect, kind_of
from connectors.timescale.migrate import pending
from schemas.errors import TidegateError
from schemas.topics import SUBJECTS, TOPICS
from streams import reachable
from streams.cli.output import Json, show
from streams.settings import Settings, load

EXAMPLES = "Examples: [bold]tidegate doctor[/] · [bold]tidegate doctor --json[/] · [bold]tidegate doctor --no-calls[/]"

OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    fine: bool
    seen: str
    cure: str = ""


Check = Callable[[Settings], Iterator[Finding]]
NoCalls = Annotated[
    bool,
    typer.Option(
        "--no-calls",
        help="Ask models for nothing but the list of their names. Else each endpoint gets one tiny question, which "
        "costs a fraction of a cent.",
    ),
]


def command(*, no_calls: NoCalls = False, as_json: Json = False) -> None:
    """Check settings, servers, topics, tables and models; each finding comes with its cure.

    Exit code 1 when one needs it.
    """
    settings = load()
    findings = [finding for check in CHECKS for finding in _tried(check.__name__, check(settings))]
    findings += _tried(_models.__name__, _models(settings, calls=not no_calls))
    if as_json:
        show({"findings": [asdict(finding) for finding in findings]}, as_json=True)
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.fine else 'BAD '} {finding.what}: {finding.seen}")
            if finding.cure:
                print(f"     {finding.cure}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


def _tried(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except TidegateError as error:
        yield Finding(check.removeprefix("_"), fine=False, seen=str(error), cure="See the message.")


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


def _registry(settings: Settings) -> Iterator[Finding]:
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


def _models(settings: Settings, *, calls: bool) -> Iterator[Finding]:
    file = settings.llm.endpoints_file
    endpoints = settings.llm.endpoints if file is None else roster.read(file)
    if not endpoints:
        yield Finding(
            "Models", fine=True, seen="none: rules answer", cure="Set TIDEGATE_LLM__ENDPOINTS or OPENAI_API_KEY."
        )
        return
    all_signs = asyncio.run(_examined(settings, endpoints, calls=calls))
    for endpoint, signs in zip(endpoints, all_signs, strict=True):
        what = f"Model {endpoint.name}"
        for sign in signs:
            yield Finding(f"{what} {sign.aspect}".rstrip(), sign.fine, sign.seen, sign.cure)
        if endpoint.region not in {"", settings.region}:
            ours = f"ours is {settings.region}" if settings.region else "ours is not set (TIDEGATE_REGION)"
            cure = "It is asked only while none of our region has room."
            yield Finding(f"{what} region", fine=True, seen=f"{endpoint.region}, {ours}", cure=cure)
    yield from _minutes(settings, endpoints)


async def _examined(settings: Settings, endpoints: Sequence[Endpoint], *, calls: bool) -> list[list[Sign]]:
    clock, budgeted = SystemClock(), Budgets.of(settings.llm).is_limited()
    return await asyncio.gather(
        *(
            examine(endpoint, clock, within_s=settings.llm.timeout_s, budgeted=budgeted, calls=calls)
            for endpoint in endpoints
        )
    )


def _minutes(settings: Settings, endpoints: Sequence[Endpoint]) -> Iterator[Finding]:
    limited = [endpoint.name for endpoint in endpoints if endpoint.rpm is not None or endpoint.tpm is not None]
    if limited and not settings.redis.url.get_secret_value():
        yield Finding(
            "Models a minute",
            fine=True,
            seen=f"workers share rpm and tpm of {', '.join(limited)} through Redis, and no address of one is set",
            cure=f"`tidegate up` starts one; else set {valkey.SETTING}, or workers refuse to start.",
        )


# Models are looked at last, and with an option.
CHECKS: tuple[Check, ...] = (_python, _kafka, _database, _redis, _mqtt, _registry)
