"""`tidegate status`: how things are now, once or again and again."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.live import Live

from connectors.llm.report import EndpointReport
from connectors.money import Spent
from connectors.timescale.ledger import Counts
from schemas.errors import TidegateError
from streams.cli.output import Json, StoppedError, UsageError, say, show, stop_signals
from streams.cli.plain import plain
from streams.cli.status_view import Rates, alarm, cost, endpoint, view
from streams.observe import Observer, PoisonAlarm, Told
from streams.settings import Settings, load

EXAMPLES = (
    "Examples: [bold]tidegate status[/] · [bold]tidegate status --watch[/] · "
    "[bold]tidegate status --watch --json --every 10[/]"
)

LATEST = 5


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen at one moment."""

    totals: Counts
    topics: Mapping[str, int]
    lags: Mapping[tuple[str, str, int], int]
    latest: Sequence[Told]
    devices: int
    spent: Sequence[Spent]
    granted: Mapping[str, Decimal]
    budget: Decimal | None
    endpoints: Sequence[tuple[str, EndpointReport]]
    alarms: Sequence[PoisonAlarm]

    @property
    def lag(self) -> dict[str, int]:
        """How many records each group has not finished with."""
        groups: dict[str, int] = {}
        for (group, *_), behind in self.lags.items():
            groups[group] = groups.get(group, 0) + behind
        return groups

    def told(self) -> dict[str, Any]:
        """Give all of it as JSON."""
        return {
            "topics": self.topics,
            "lag": self.lag,
            "partitions": [
                {"group": group, "topic": topic, "partition": number, "behind": behind}
                for (group, topic, number), behind in self.lags.items()
            ],
            "totals": asdict(self.totals),
            "poison_alarms": [asdict(one) for one in self.alarms],
            "devices": self.devices,
            "endpoints": [{"worker": worker, **one.model_dump(mode="json")} for worker, one in self.endpoints],
            "spent": [asdict(one) for one in self.spent],
            "budgets": {"granted_usd": self.granted, "total_usd": self.budget},
            "insights": [asdict(insight) for insight in self.latest],
        }


def command(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks, with --watch.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Show what came in, how far the groups are behind, how the models do and what they cost, the latest insights."""
    settings = load()
    if watch and not as_json and not sys.stdout.isatty():
        raise UsageError("--watch needs a terminal; with --json it prints an object each time")
    with Observer(settings) as observer:
        if watch:
            _watch(settings, observer, every, as_json=as_json)
            return
        seen = _look(settings, observer)
    if as_json:
        show(seen.told(), as_json=True)
    else:
        _print(seen)


def _look(settings: Settings, observer: Observer) -> Seen:
    return Seen(
        totals=observer.totals(),
        topics=observer.topics(),
        lags=observer.lags(),
        latest=observer.insights(latest=LATEST),
        devices=observer.devices(),
        spent=observer.spent(),
        granted=observer.granted(),
        budget=settings.llm.budget_usd_per_day,
        endpoints=_endpoints(observer),
        alarms=observer.poison_alarms(),
    )


def _watch(settings: Settings, observer: Observer, every: float, *, as_json: bool) -> None:
    rates = Rates()
    try:
        with stop_signals():
            if as_json:
                while True:
                    show(_look(settings, observer).told(), as_json=True)
                    time.sleep(every)
            with Live(screen=True, auto_refresh=False) as live:
                while True:
                    seen = _look(settings, observer)
                    live.update(view(seen.told(), rates.of(asdict(seen.totals), time.monotonic())), refresh=True)
                    time.sleep(every)
    except StoppedError:
        return


def _print(seen: Seen) -> None:
    for one in seen.alarms:
        say(alarm(asdict(one)))
    lines: dict[str, object] = {f"topic {name}": f"{count} records" for name, count in seen.topics.items()}
    lines |= {f"group {name}": f"{behind} behind" for name, behind in seen.lag.items()}
    lines |= {"devices": seen.devices, **asdict(seen.totals)}
    lines |= {f"endpoint {one.name} ({worker})": endpoint(one.model_dump()) for worker, one in seen.endpoints}
    lines |= {f"spent today by {one.tenant or 'no tenant'} at {one.endpoint}": cost(asdict(one)) for one in seen.spent}
    if "total" in seen.granted:
        lines["budget of today"] = f"${seen.granted['total']:.4f} of ${seen.budget} is granted to workers"
    lines |= {f"insight {n}": f"[{told.severity}] {plain(told.summary)}" for n, told in enumerate(seen.latest, start=1)}
    show(lines, as_json=False)


def _endpoints(observer: Observer) -> list[tuple[str, EndpointReport]]:
    try:
        return observer.endpoints()
    except TidegateError as error:  # all else is in other places
        say(f"how the endpoints do is not known: {error}")
        return []
