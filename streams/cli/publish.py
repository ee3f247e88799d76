"""`tidegate publish`: sends a CSV file as a device would."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connectors.kafka.admin import Admin
from connectors.kafka.producer import Producer
from streams import reachable, registered
from streams.cli.logs import log_to_stderr
from streams.cli.output import Json, UsageError, bar, show
from streams.feed.csv_file import CsvFile
from streams.feed.senders import Confirmed, HttpSender, KafkaSender, MqttSender, Sender
from streams.settings import Settings, load

EXAMPLES = (
    "Examples: [bold]tidegate publish pump.csv --device pump-7 --metric temperature --via mqtt[/] · "
    "[bold]tidegate publish pump.csv --via kafka --json[/]"
)


class Via(StrEnum):
    """The ways in."""

    MQTT = "mqtt"
    HTTP = "http"
    KAFKA = "kafka"


ViaOption = Annotated[Via, typer.Option(help="How the readings get in.")]
UrlOption = Annotated[str, typer.Option(help="The gateway's address, for --via http; else the one in the settings.")]


def command(  # noqa: PLR0913  # a command has as many options as it has
    file: Annotated[Path, typer.Argument(help="A CSV file with a column of timestamps and one or more of numbers.")],
    *,
    device: Annotated[str | None, typer.Option(help="The device id; else the file's name without its ending.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="The metric's name, where the file has one; else the column's.")
    ] = None,
    column: Annotated[str | None, typer.Option(help="The column to send, where the file has several.")] = None,
    via: ViaOption = Via.MQTT,
    url: UrlOption = "",
    as_json: Json = False,
) -> None:
    """Send every row of a CSV file as a reading, and wait until each is acknowledged."""
    settings = load()
    log_to_stderr(settings)
    table = CsvFile.open(file, column=column)
    metrics = names(table, metric)
    with bar(file.name, table.rows, hidden=as_json) as advance, sender(settings, via, url, advance) as way_in:
        sent = 0
        for reading in table.readings(device or file.stem, metrics):
            way_in.send(reading)
            sent += 1
        way_in.flush()
    show({"device": device or file.stem, "metrics": list(metrics), "sent": sent, "via": via}, as_json=as_json)


def names(table: CsvFile, metric: str | None) -> tuple[str, ...]:
    """Give the metrics' names: the columns', or the one that was asked for."""
    if metric is None:
        return table.columns
    if len(table.columns) > 1:
        raise UsageError(f"--metric names one metric, but {table.path} has several columns; pick one with --column.")
    return (metric,)


@contextmanager
def sender(settings: Settings, via: Via, url: str, confirmed: Confirmed) -> Iterator[Sender]:
    """Open a way in, and close it.

    Raises:
        UsageError: the settings do not say where it leads.
        UnreachableError: nobody answers there.

    """
    way_in = _open(settings, via, url, confirmed)
    try:
        yield way_in
    finally:
        way_in.close()


def _open(settings: Settings, via: Via, url: str, confirmed: Confirmed) -> Sender:
    if via is Via.HTTP:
        return HttpSender(url or f"http://{settings.http.host}:{settings.http.port}", confirmed, settings.http.key)
    reachable.check(settings)
    registered.adopt(settings)
    if via is Via.KAFKA:
        if not settings.kafka.bootstrap_servers:
            raise UsageError("Where is Kafka? Set TIDEGATE_KAFKA__BOOTSTRAP_SERVERS (`tidegate up` prints it).")
        Admin(settings.kafka).cluster_id()
        return KafkaSender(Producer(settings.kafka), confirmed)
    if not settings.mqtt.url:
        raise UsageError("Where is the MQTT broker? Set TIDEGATE_MQTT__URL (`tidegate up` prints it).")
    return MqttSender(settings.mqtt, confirmed)
