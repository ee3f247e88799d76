"""`tidegate simulate`: devices that do not exist, sending what real ones might."""

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from schemas.models import Reading
from streams.cli.logs import log_to_stderr
from streams.cli.output import Json, StoppedError, bar, show, stop_signals
from streams.cli.publish import UrlOption, Via, ViaOption, sender
from streams.feed.simulator import Fleet
from streams.settings import load

EXAMPLES = (
    "Examples: [bold]tidegate simulate --devices 100 --rate 1[/] (until Ctrl-C) · "
    "[bold]tidegate simulate --devices 10 --history 600 --seconds 0[/] (the last ten minutes at once)"
)


def command(  # noqa: PLR0913  # a command has as many options as it has
    *,
    devices: Annotated[int, typer.Option(min=1, help="How many devices.")] = 10,
    rate: Annotated[float, typer.Option(min=0.001, help="Readings a second of each device.")] = 1.0,
    seconds: Annotated[float | None, typer.Option(min=0, help="How long to send; else until Ctrl-C.")] = None,
    history: Annotated[int, typer.Option(min=0, help="Readings of each device from before now, sent at once.")] = 0,
    seed: Annotated[int, typer.Option(help="The same seed says the same things.")] = 1,
    via: ViaOption = Via.MQTT,
    url: UrlOption = "",
    as_json: Json = False,
) -> None:
    """Send readings of simulated devices: a daily rhythm, noise, and now and then a fault."""
    settings = load()
    log_to_stderr(settings)
    fleet = Fleet(devices, interval_s=1 / rate, seed=seed)
    total = None if seconds is None else devices * (history + round(seconds * rate))
    sent = 0
    with bar(f"{devices} devices", total, hidden=as_json) as advance, sender(settings, via, url, advance) as way_in:
        with contextlib.suppress(StoppedError), stop_signals():
            for reading in stream(fleet, history=history, live_s=seconds):
                way_in.send(reading)
                sent += 1
        way_in.flush()
    show({"devices": devices, "sent": sent, "via": via}, as_json=as_json)


def stream(fleet: Fleet, *, history: int, live_s: float | None) -> Iterator[Reading]:
    """Give readings from before now at once, then live ones as their time comes; `live_s` None never ends."""
    now = datetime.now(UTC)
    start = now - timedelta(seconds=history * fleet.interval_s)
    live = 10**12 if live_s is None else round(live_s / fleet.interval_s)
    for reading in fleet.readings(start, history + live):
        ahead = (reading.ts - datetime.now(UTC)).total_seconds()
        if ahead > 0:
            time.sleep(ahead)
        yield reading
