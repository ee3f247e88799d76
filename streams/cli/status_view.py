"""What `tidegate status` shows: sentences for a look, and a view for many. Nothing of a device or a model is markup."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from streams.cli.plain import plain

# Of each group, the partitions that are the furthest behind.
WORST: Final = 3
_COLOURS: Final = {"critical": "bold red", "warning": "yellow", "info": "default"}


class Rates:
    """How much more there is a second than at the look before."""

    def __init__(self) -> None:
        """There was no look."""
        self._before: tuple[Mapping[str, int], float] | None = None

    def of(self, counts: Mapping[str, int], now: float) -> dict[str, float]:
        """Give the growth of each count a second; `now` is in seconds."""
        before, self._before = self._before, (counts, now)
        if before is None or now <= before[1]:
            return {}
        return {name: (count - before[0].get(name, 0)) / (now - before[1]) for name, count in counts.items()}


def view(told: Mapping[str, Any], rates: Mapping[str, float]) -> RenderableType:
    """Draw what `tidegate status --json` gives."""
    parts: list[RenderableType] = [Text(alarm(one), style="bold red") for one in told["poison_alarms"]]
    totals = _table("", "total", "a second")
    for name, count in told["totals"].items():
        totals.add_row(name, f"{count:,}", f"{rates[name]:,.1f}" if name in rates else "")
    totals.add_row("devices", f"{told['devices']:,}", "")
    parts += [_panel("rows and records", totals), _panel("behind", _groups(told))]
    if told["endpoints"]:
        endpoints = _table("endpoint", "worker", "state")
        for one in told["endpoints"]:
            endpoints.add_row(Text(plain(one["name"])), Text(plain(one["worker"])), Text(endpoint(one)))
        parts.append(_panel("models", endpoints))
    if told["spent"]:
        spent = _table("tenant", "endpoint", "today")
        for one in told["spent"]:
            spent.add_row(Text(plain(one["tenant"] or "none")), Text(plain(one["endpoint"])), Text(plain(cost(one))))
        parts.append(_panel("spent", spent))
    insights = _table("window", "device", "severity", "what")
    for one in told["insights"]:
        severity = Text(one["severity"], style=_COLOURS.get(one["severity"], "default"))
        device, summary = (Text(plain(one[name])) for name in ("device_id", "summary"))
        insights.add_row(_moment(one["window_end"]), device, severity, summary)
    parts.append(_panel("latest insights", insights if told["insights"] else Text("none yet")))
    parts.append(Text("Ctrl-C ends this", style="dim"))
    return Group(*parts)


def _groups(told: Mapping[str, Any]) -> Table:
    groups = _table("group", "records", "the furthest partitions")
    by_group: dict[str, list[Mapping[str, Any]]] = {}
    for one in told["partitions"]:
        by_group.setdefault(one["group"], []).append(one)
    for group, partitions in by_group.items():
        worst = sorted((one for one in partitions if one["behind"]), key=lambda one: -one["behind"])[:WORST]
        shown = ", ".join(f"{one['topic']}[{one['partition']}] {one['behind']:,}" for one in worst)
        groups.add_row(Text(group), f"{told['lag'][group]:,}", Text(shown))
    return groups


def _table(*head: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    for name in head:
        is_number = name in {"total", "a second", "records"}
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    return table


def _panel(title: str, inside: RenderableType) -> Panel:
    return Panel(inside, title=title, title_align="left", border_style="dim")


def _moment(moment: datetime | str) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if isinstance(moment, datetime) else moment


def alarm(one: Mapping[str, Any]) -> str:
    """Say where a worker has stopped for poison, and what to do."""
    reasons: Sequence[str] = one["reasons"]
    return (
        f"ALARM: {one['who']} stopped at {one['at']:%Y-%m-%d %H:%M:%S} before {one['topic']}[{one['partition']}] offset"
        f" {one['offset']}: {one['refused']} of {one['records']} records cannot be used ({', '.join(reasons)}), and"
        " nobody has gone on since. Put right who sends them, or have them passed to dead-letters with"
        " TIDEGATE_INGEST__POISON_LIMIT=1 for a while: tidegate dlq mends and redrives them."
    )


def endpoint(one: Mapping[str, Any]) -> str:
    """Say how a model endpoint does."""
    words = [str(one["condition"]), f"{one['in_flight']} in flight of {one['limit']}"]
    if one["p50_s"] is not None and one["p95_s"] is not None:
        words.append(f"p50 {one['p50_s']:.2f} s, p95 {one['p95_s']:.2f} s")
    if one["ejections"]:
        words.append(f"left alone {one['ejections']} times")
    return " · ".join(words)


def cost(one: Mapping[str, Any]) -> str:
    """Say what calls have cost."""
    unsettled = f" and up to ${one['unsettled_usd']:.4f} for calls without an end" if one["unsettled_usd"] else ""
    tokens = one["prompt_tokens"] + one["completion_tokens"]
    kept = f"{tokens} tokens ({one['cached_tokens']} kept)"
    return f"${one['usd']:.4f}{unsettled} · {one['calls']} calls · {kept} · {one['model']}"
