"""`tidegate doctor`: what is wrong, and what to do about it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from schemas.errors import TidegateError
from streams.cli.output import Json, UsageError, show
from streams.doctor import cluster, database, models, readings, regions, servers
from streams.doctor.acls import ROLES, acls
from streams.doctor.explain import explain
from streams.doctor.finding import Finding
from streams.settings import Settings, load

EXAMPLES = (
    "Examples: [bold]tidegate doctor[/] · [bold]tidegate doctor --no-calls --json[/] · "
    "[bold]tidegate doctor --explain[/] · [bold]tidegate doctor --acls[/]"
)

Check = Callable[[Settings], Iterator[Finding]]
NoCalls = Annotated[
    bool,
    typer.Option(
        "--no-calls",
        help="Ask models for nothing but the list of their names. Else each endpoint gets one tiny question, which "
        "costs a fraction of a cent.",
    ),
]
# By what they are called when they fail. Models are looked at last, and with an option.
CHECKS: dict[str, Check] = {
    "Python": servers.python,
    "Kafka": cluster.check,
    "Readings": readings.check,
    "Database": database.check,
    "Regions": regions.check,
    "Redis": servers.redis,
    "MQTT": servers.mqtt_broker,
    "Registry": servers.registry,
    "Gateway keys": servers.keys,
}


def command(
    *,
    no_calls: NoCalls = False,
    explained: Annotated[
        bool, typer.Option("--explain", help="Show every setting and where it came from, and check nothing.")
    ] = False,
    access: Annotated[
        bool, typer.Option("--acls", help="Show what each part needs of Kafka and PostgreSQL, and check nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check settings, servers, topics, tables, what devices send, and models; each finding comes with its cure.

    Exit code 1 when one needs it.
    """
    settings = load()
    if explained or access:
        if no_calls or (explained and access):
            raise UsageError("--explain and --acls each check nothing: leave the other options out")
        (_explain if explained else _access)(settings, as_json=as_json)
        return
    findings = [finding for name, check in CHECKS.items() for finding in _tried(name, check(settings))]
    findings += _tried("Models", models.check(settings, calls=not no_calls))
    if as_json:
        show({"findings": [asdict(finding) for finding in findings]}, as_json=True)
    else:
        for finding in findings:
            print(f"{'ok  ' if finding.fine else 'BAD '} {finding.what}: {finding.seen}")
            if finding.cure:
                print(f"     {finding.cure}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)


def _tried(name: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    try:
        yield from findings
    except TidegateError as error:
        yield Finding(name, fine=False, seen=str(error), cure="See the message.")
    except Exception as error:  # noqa: BLE001  # whatever it is, the other checks go on
        seen = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        yield Finding(name, fine=False, seen=seen, cure="It could not be looked at; its log may say why.")


def _access(settings: Settings, *, as_json: bool) -> None:
    found = acls(settings)
    if as_json:
        show({"kafka": [asdict(one) for one in found], "postgresql": ROLES}, as_json=True)
        return
    servers = settings.kafka.bootstrap_servers or "HOST:9092"
    for one in found:
        print(one.command(servers))
    print(f"\n{ROLES}")


def _explain(settings: Settings, *, as_json: bool) -> None:
    found = explain(settings)
    if as_json:
        show({"settings": [asdict(one) for one in found]}, as_json=True)
        return
    width = max(len(one.name) for one in found)
    for one in found:
        print(f"{one.name:<{width}}  {one.value!s}  ({one.source})")
