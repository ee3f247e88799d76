"""`tidegate status`: how things are now."""

from dataclasses import asdict

from connectors.llm.report import EndpointReport
from connectors.money import Spent
from schemas.errors import TidegateError
from streams.cli.output import Json, say, show
from streams.observe import Observer, PoisonAlarm
from streams.settings import load

EXAMPLES = "Examples: [bold]tidegate status[/] · [bold]tidegate status --json[/]"

LATEST = 5


def command(*, as_json: Json = False) -> None:
    """Show what came in, how far the groups are behind, how the models do and what they cost, the latest insights."""
    settings = load()
    with Observer(settings) as observer:
        totals = asdict(observer.totals())
        written, lag, latest = observer.topics(), observer.lag(), observer.insights(latest=LATEST)
        devices, spent, granted = observer.devices(), observer.spent(), observer.granted()
        endpoints = _endpoints(observer)
        alarms = observer.poison_alarms()
    if as_json:
        values = {
            "topics": written,
            "lag": lag,
            "totals": totals,
            "poison_alarms": [asdict(one) for one in alarms],
            "devices": devices,
            "endpoints": [{"worker": worker, **one.model_dump(mode="json")} for worker, one in endpoints],
            "spent": [asdict(one) for one in spent],
            "budgets": {"granted_usd": granted, "total_usd": settings.llm.budget_usd_per_day},
            "insights": [asdict(insight) for insight in latest],
        }
        show(values, as_json=True)
        return
    for alarm in alarms:
        say(_alarm(alarm))
    lines: dict[str, object] = {f"topic {name}": f"{count} records" for name, count in written.items()}
    lines |= {f"group {name}": f"{behind} behind" for name, behind in lag.items()}
    lines |= {"devices": devices, **totals}
    lines |= {f"endpoint {one.name} ({worker})": _told(one) for worker, one in endpoints}
    lines |= {f"spent today by {one.tenant or 'no tenant'} at {one.endpoint}": _cost(one) for one in spent}
    if "total" in granted:
        lines["budget of today"] = (
            f"${granted['total']:.4f} of ${settings.llm.budget_usd_per_day} is granted to workers"
        )
    lines |= {f"insight {place}": f"[{told.severity}] {told.summary}" for place, told in enumerate(latest, start=1)}
    show(lines, as_json=False)


def _endpoints(observer: Observer) -> list[tuple[str, EndpointReport]]:
    try:
        return observer.endpoints()
    except TidegateError as error:  # all else is in other places
        say(f"how the endpoints do is not known: {error}")
        return []


def _alarm(one: PoisonAlarm) -> str:
    where = f"{one.topic}[{one.partition}] offset {one.offset}"
    return (
        f"ALARM: {one.who} stopped at {one.at:%Y-%m-%d %H:%M:%S} before {where}: {one.refused} of {one.records} records"
        f" cannot be used ({', '.join(one.reasons)}), and nobody has gone on since. Put right who sends them, or have"
        " them passed to dead-letters with TIDEGATE_INGEST__POISON_LIMIT=1 for a while: tidegate dlq mends and redrives"
        " them."
    )


def _told(one: EndpointReport) -> str:
    words = [str(one.condition), f"{one.in_flight} in flight of {one.limit}"]
    if one.p50_s is not None and one.p95_s is not None:
        words.append(f"p50 {one.p50_s:.2f} s, p95 {one.p95_s:.2f} s")
    if one.ejections:
        words.append(f"left alone {one.ejections} times")
    return " · ".join(words)


def _cost(one: Spent) -> str:
    unsettled = f" and up to ${one.unsettled_usd:.4f} for calls without an end" if one.unsettled_usd else ""
    tokens = one.prompt_tokens + one.completion_tokens
    return f"${one.usd:.4f}{unsettled} · {one.calls} calls · {tokens} tokens ({one.cached_tokens} kept) · {one.model}"
