"""`tidegate region`: what goes on between regions."""

import contextlib
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from psycopg import Connection
from pydantic import SecretStr
from rich.console import Console

from connectors import regions
from connectors.dns import configuration as dns
from connectors.embedded import gdnsd, mirror
from connectors.embedded.server import UnavailableError
from connectors.errors import ConnectorError
from connectors.kafka import mirror as mirror_maker
from connectors.regions import Regions
from connectors.timescale import checksums
from connectors.timescale.checksums import Range
from connectors.timescale.connection import connect
from connectors.timescale.ledger import Row
from connectors.timescale.settings import DatabaseSettings
from streams.cli.logs import log_to_stderr
from streams.cli.output import Json, ReadyFile, StoppedError, UsageError, mark_ready, say, show, stop_signals
from streams.cli.times import instant
from streams.doctor.regions import LATE_S
from streams.observe import Observer, PeerSeen
from streams.settings import Settings, load

app = typer.Typer(help="Regions that stand alone, and what goes on between them.", no_args_is_help=True)

POLL_S = 0.5


@app.command("mirror", epilog="Examples: [bold]tidegate region mirror[/] · [bold]tidegate region mirror --print[/]")
def run_mirror(
    *,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print MirrorMaker's properties, for one that runs elsewhere.")
    ] = False,
    ready_file: ReadyFile = None,
) -> None:
    """Fetch what other regions have accepted into this region's Kafka, until told to stop: MirrorMaker 2, on Java.

    Passwords of other regions' clusters are taken from TIDEGATE_MIRROR_PASSWORD_<REGION>.
    """
    settings = load()
    log_to_stderr(settings)
    properties = mirror_maker.text(mirror_maker.configuration(_regions(settings), settings.region))
    if only_print:
        print(properties, end="", flush=True)
        return
    running = mirror.start(settings.data_dir.resolve() / "mirror-maker", properties, settings.region, say)
    mark_ready(ready_file)
    with contextlib.suppress(StoppedError), stop_signals():
        while running.alive:
            time.sleep(POLL_S)
        raise ConnectorError(f"MirrorMaker ended with code {running.exit_code}; its log: {running.log}")
    running.stop()


@app.command("dns", epilog="Example: [bold]tidegate region dns --to /etc/gdnsd --listen 192.0.2.1[/]")
def write_dns(
    to: Annotated[Path, typer.Option(help="gdnsd's folder: `config` and the zone in it are written anew.")],
    *,
    listen: Annotated[str, typer.Option(help="Where it answers: an address, perhaps with a port.")] = "127.0.0.1:53",
    as_json: Json = False,
) -> None:
    """Write gdnsd's configuration, and let gdnsd check it, where it is installed.

    `in.<zone>` leads devices to the nearest region that takes readings, `api.<zone>` people and services to the nearest
    one that answers.
    """
    settings = load()
    written = dns.files(_regions(settings), listen=listen)
    gdnsd.write(to, written)
    try:
        gdnsd.command()
    except UnavailableError as error:
        checked = f"no: {error}"
    else:
        gdnsd.check(to)
        checked = "yes"
    show({"files": [str(to / name) for name in written], "checked": checked}, as_json=as_json)


@app.command(
    "drill",
    epilog="Examples: [bold]tidegate region drill[/] · [bold]tidegate region drill --short --json[/] · "
    "[bold]tidegate region drill --only 'link cut'[/]",
)
def run_drill(
    *,
    short: Annotated[bool, typer.Option("--short", help="As fast as it goes: a minute and a half.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only this disaster; may be given again.")] = None,
    as_json: Json = False,
) -> None:
    """Start two complete regions here, let disasters happen to them under load, and compare accepted with stored.

    The link between them is cut, a database is killed, a whole region is killed and comes back. It takes Apache Kafka
    (Java 17, Maven) and gdnsd. Exit code 0: every promise held; 1: one did not, or the drill could not run.
    """
    from streams.drill import drill  # noqa: PLC0415  # heavy, and for this verb alone

    names = only or list(drill.DISASTERS)
    unknown = [name for name in names if name not in drill.DISASTERS]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is none of the disasters: {', '.join(drill.DISASTERS)}")
    options = drill.SHORT if short else drill.LONG
    options = replace(options, disasters=names)
    began = time.monotonic()

    def told(line: str) -> None:
        seconds = int(time.monotonic() - began)
        say(f"{seconds // 60:02}:{seconds % 60:02} {line}")

    report = drill.run(load().data_dir, options, told, told)
    if as_json:
        show(report.to_json(), as_json=True)
    else:
        report.show(Console())
    if report.violations:
        raise typer.Exit(1)


@app.command("status", epilog="Example: [bold]tidegate region status --json[/]")
def status(*, as_json: Json = False) -> None:
    """Show how far this region has what the others have accepted. Exit code 1: one was not heard of for a minute."""
    settings = load()
    _regions(settings)
    with Observer(settings) as observer:
        seen = observer.peers(datetime.now(UTC))
    show({name: asdict(peer) if as_json else _told(peer) for name, peer in seen.items()}, as_json=as_json)
    if any(peer.heartbeat_s is None or peer.heartbeat_s > LATE_S for peer in seen.values()):
        raise typer.Exit(1)


@app.command(
    "compare",
    epilog="Examples: [bold]tidegate region compare postgresql://reader@db.us/tidegate[/] · "
    "[bold]tidegate region compare service=us --since 7d --json[/]",
)
def compare(
    there: Annotated[str, typer.Argument(help="The other region's database: an address, or a conninfo of libpq.")],
    *,
    since: Annotated[str, typer.Option(help="From when on, by the readings' own time: 2h, 7d, or an instant.")] = "1d",
    settled_s: Annotated[
        float, typer.Option(min=0, help="What was accepted later than so long ago may differ.")
    ] = 60.0,
    most: Annotated[int, typer.Option(min=1, help="Show so many differences.")] = 20,
    as_json: Json = False,
) -> None:
    """Compare this region's readings with another's: counts and checksums by hour, then by device where they differ.

    Every row of the range is read in both. Exit code 1: they differ. Passwords: see PGPASSFILE and PGSERVICEFILE.
    """
    settings, now = load(), datetime.now(UTC)
    start = instant(since, "--since") or now
    wanted = Range(start, now + timedelta(days=1), now - timedelta(seconds=settled_s))
    with _database(settings.database) as ours, _database(DatabaseSettings(url=SecretStr(there))) as theirs:
        rows = sum(count for count, _ in checksums.by_hour(ours, wanted).values())
        found = list(checksums.differences(ours, theirs, wanted))
    if as_json:
        told = [asdict(one) | {"hour": one.hour.isoformat()} for one in found[:most]]
        show({"rows": rows, "differences": len(found), "shown": told}, as_json=True)
    else:
        for one in found[:most]:
            print(f"{one.hour:%Y-%m-%d %H}:00  {one.device_id}  {one.here} rows here, {one.there} there")
        show({"rows here": rows, "hours of devices that differ": len(found)}, as_json=False)
    if found:
        raise typer.Exit(1)


def _told(peer: PeerSeen) -> str:
    if peer.heartbeat_s is None:
        return "nothing has ever come"
    newest = "no readings" if peer.newest_s is None else f"newest reading {peer.newest_s:.1f} s ago"
    return f"heartbeat {peer.heartbeat_s:.1f} s ago, {newest}, {sum(peer.behind.values()):,} records not stored yet"


def _database(settings: DatabaseSettings) -> "AbstractContextManager[Connection[Row]]":
    return connect(settings, autocommit=True)


def _regions(settings: Settings) -> Regions:
    if settings.regions_file is None:
        raise UsageError("TIDEGATE_REGIONS_FILE names no list of regions")
    return regions.read(settings.regions_file)
