"""`scripts/bench read`: what the gateway reads of many readings, beside the same SQL without a gateway."""

import http.client
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import quote

import numpy as np
import typer

from connectors.embedded import ports
from connectors.timescale.connection import connect
from connectors.timescale.settings import DatabaseSettings
from scripts.benches import machine, posting, servers
from scripts.benches.command import Json, Runs, progress, publish, say
from scripts.benches.measure import MeasureError
from scripts.benches.report import Direction, Goal, Report, Result

SUMMARY = "How soon the gateway reads a device's recent day of 50 million readings, beside the bare statement."
EXAMPLES = "Examples: [bold]scripts/bench read[/] · [bold]scripts/bench read --days 1 --runs 1 --json[/]"

# Each device speaks so often a day: with 1,000 devices that is ten million readings a day.
DEVICES, PER_DAY = 1_000, 10_000
METRIC: Final = "m"
REQUESTS, CONNECTIONS = 400, 4
# Requests before those that count: connections are made, and statements planned.
WARM = 40
MOST_MS: Final = 50.0
BARE: Final = "the bare statement"

FILL = """
insert into readings (ts, device_id, metric, value, accepted)
select %(day)s::timestamptz + n * (interval '1 day' / %(per_day)s::int), 'bench-' || to_char(device, 'FM000000'), 'm',
       20 + sin(n / 100.0) + (n %% 7) / 10.0, now()
from generate_series(%(first)s::int, %(last)s::int) as device, generate_series(0, %(per_day)s::int - 1) as n
"""
NEWEST = "select ts, value from readings where device_id = %s and metric = 'm' order by ts desc limit 1000"


def command(
    *,
    days: Annotated[int, typer.Option(min=1, max=7, help="How many days of ten million readings there are.")] = 5,
    runs: Runs = 5,
    as_json: Json = False,
) -> None:
    """Fill a database with days of readings up to now, and read some of it again and again."""
    with (
        servers.running(("kafka", "database", "redis"), say=say) as running,
        running.new_database() as settings,
        progress(1 + runs * (1 + len(_paths("", datetime.now(UTC))))) as step,
    ):
        step(f"storing {days * DEVICES * PER_DAY:,} readings (minutes)")
        _fill(settings.database, days)
        figures: dict[str, list[list[float]]] = {}
        with posting.running(sys.executable, settings, running.folder / "read") as (_, port):
            for run in range(1, runs + 1):
                for name, ask in _asks(settings.database, port).items():
                    step(f"{name}, run {run} of {runs}")
                    figures.setdefault(name, []).append(ask())
        versions = machine.versions((*machine.PACKAGES, "fastapi", "uvicorn")) | dict(running.versions)
    publish(report(figures, days, versions), as_json=as_json)


def report(figures: dict[str, list[list[float]]], days: int, versions: dict[str, str]) -> Report:
    """Compose what is said of it."""
    rows = f"{days * DEVICES * PER_DAY:,} rows"
    results = [
        Result(name, f"p{part} of {rows}", "ms", tuple(float(np.percentile(run, part)) for run in runs))
        for name, runs in figures.items()
        for part in (50, 99)
    ]
    worst = {result.system: result.median for result in results if result.metric.startswith("p99")}
    return Report(
        bench="read",
        machine=machine.machine(),
        versions=versions,
        results=results,
        goals=[
            Goal(f"{name}, p99, ms", p99, MOST_MS, Direction.AT_MOST) for name, p99 in worst.items() if name != BARE
        ],
    )


def _fill(settings: DatabaseSettings, days: int) -> None:
    """Store the days up to now, two devices at a time, then tell the planner."""
    now = datetime.now(UTC)
    steps = [
        {"day": now - timedelta(days=day), "per_day": PER_DAY, "first": first, "last": first + DEVICES // 10 - 1}
        for day in range(days, 0, -1)
        for first in range(0, DEVICES, DEVICES // 10)
    ]

    def fill(part: Sequence[dict[str, object]]) -> None:
        with connect(settings, autocommit=True) as connection:
            connection.execute("set synchronous_commit = off")
            for step in part:
                connection.execute(FILL, step)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(fill, steps[part::2]) for part in range(2)]:
            done.result()
    with connect(settings, autocommit=True) as connection:
        connection.execute(
            "insert into devices (device_id, first_seen, last_seen) select distinct 'bench-' || to_char(n, 'FM000000'),"
            " now(), now() from generate_series(0, %s) n",
            (DEVICES - 1,),
        )
        connection.execute("vacuum analyze readings")


def _paths(device: str, now: datetime) -> dict[str, str]:
    day = f"from={quote((now - timedelta(days=1)).isoformat())}"
    base = f"/v1/devices/{device}"
    return {
        "the newest 1,000 readings": f"{base}/readings?metric={METRIC}&limit=1000",
        "a recent day in 1,500 points": f"{base}/series?metric={METRIC}&points=1500&{day}",
        "a recent hour in 1,500 points": f"{base}/series?metric={METRIC}&points=1500"
        f"&from={quote((now - timedelta(hours=1)).isoformat())}",
        "a page of 100 devices": f"/v1/devices?limit=100&after={device}",
    }


def _asks(settings: DatabaseSettings, port: int) -> dict[str, Callable[[], list[float]]]:
    """Give of each thing that is read what asks for it many times, and says how many milliseconds each took."""
    dice = random.Random(1)  # noqa: S311  # the same in every run
    devices = [f"bench-{dice.randrange(DEVICES):06d}" for _ in range(REQUESTS)]

    def ask(name: str) -> list[float]:
        now = datetime.now(UTC)
        paths = [_paths(device, now)[name] for device in devices]
        _get(port, paths[:WARM])
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            shares = [pool.submit(_get, port, paths[part::CONNECTIONS]) for part in range(CONNECTIONS)]
            return [one for done in shares for one in done.result()]

    asks: dict[str, Callable[[], list[float]]] = {BARE: lambda: _bare(settings, devices)}
    return asks | {name: (lambda name=name: ask(name)) for name in _paths("", datetime.now(UTC))}


def _bare(settings: DatabaseSettings, devices: Sequence[str]) -> list[float]:
    took = []
    with connect(settings, autocommit=True) as connection:
        for device in devices:
            began = time.perf_counter()
            connection.execute(NEWEST, (device,)).fetchall()
            took.append((time.perf_counter() - began) * 1e3)
    return took


def _get(port: int, paths: Sequence[str]) -> list[float]:
    took = []
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=30)
    try:
        for path in paths:
            began = time.perf_counter()
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            took.append((time.perf_counter() - began) * 1e3)
            if answer.status != HTTPStatus.OK:
                raise MeasureError(f"the gateway answered {answer.status} to {path}")
    finally:
        connection.close()
    return took
