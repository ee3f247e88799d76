"""`tidegate region`: what goes on between regions."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from connectors import regions
from connectors.dns import configuration as dns
from connectors.embedded import gdnsd, mirror
from connectors.embedded.server import UnavailableError
from connectors.errors import ConnectorError
from connectors.kafka import mirror as mirror_maker
from connectors.regions import Regions
from streams.cli.logs import log_to_stderr
from streams.cli.output import Json, ReadyFile, StoppedError, UsageError, mark_ready, say, show, stop_signals
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
        gdnsd.check(to)
        checked = "yes"
    except UnavailableError as error:
        if "not installed" not in str(error):
            raise
        checked = f"no: {error}"
    show({"files": [str(to / name) for name in written], "checked": checked}, as_json=as_json)


@app.command(
    "drill",
    epilog="Examples: [bold]tidegate region drill[/] · [bold]tidegate region drill --short --json[/] · "
    "[bold]tidegate region drill --only 'link cut'[/]",
)
def run_drill(
    *,
    short: Annotated[bool, typer.Option("--short", help="As fast as it goes: about two minutes.")] = False,
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


def _regions(settings: Settings) -> Regions:
    if settings.regions_file is None:
        raise UsageError("TIDEGATE_REGIONS_FILE names no list of regions")
    return regions.read(settings.regions_file)
