"""What the live view shows: all that is told, and nothing that a device could draw with."""

from datetime import UTC, datetime
from io import StringIO
from typing import Any

from rich.console import Console

from streams.cli.status_view import Rates, view

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def drawn(**change: Any) -> str:  # noqa: ANN401  # parts of what is told
    told: dict[str, Any] = {
        "totals": {"stored": 1_000, "duplicates": 0, "conflicts": 0, "poison": 2},
        "devices": 7,
        "lag": {"g-ingest": 42},
        "partitions": [
            {"group": "g-ingest", "topic": "readings", "partition": number, "behind": behind}
            for number, behind in enumerate((0, 30, 2, 7, 3))
        ],
        "poison_alarms": [],
        "endpoints": [],
        "spent": [],
        "insights": [],
    }
    output = StringIO()
    Console(file=output, width=120, force_terminal=True, color_system=None).print(view(told | change, {"stored": 12.5}))
    return output.getvalue()


def test_the_view_has_totals_rates_and_the_partitions_that_are_the_furthest_behind() -> None:
    shown = drawn()
    assert "1,000" in shown
    assert "12.5" in shown
    assert "readings[1] 30, readings[3] 7, readings[4] 3" in shown
    assert "readings[2]" not in shown
    assert "none yet" in shown


def test_what_devices_and_models_say_is_text() -> None:
    insight = {
        "window_end": START,
        "device_id": "[bold]pump[/]",
        "severity": "critical",
        "summary": "it \x1b[2J leaps [red]now[/red]",
    }
    endpoint = {"name": "[link]", "worker": "w", "condition": "up", "in_flight": 1, "limit": 4}
    endpoint |= {"p50_s": 0.5, "p95_s": 1.0, "ejections": 0}
    spent = {"tenant": "", "endpoint": "e", "usd": 1.0, "unsettled_usd": 0, "prompt_tokens": 10, "completion_tokens": 2}
    spent |= {"cached_tokens": 0, "calls": 3, "model": "m"}
    stop = {"who": "w", "at": START, "topic": "readings", "partition": 1, "offset": 9, "refused": 8, "records": 10}
    shown = drawn(insights=[insight], endpoints=[endpoint], spent=[spent], poison_alarms=[stop | {"reasons": ["key"]}])
    assert "[bold]pump[/]" in shown
    assert "\\x1b[2J leaps [red]now[/red]" in shown
    assert "\x1b[2J" not in shown
    assert "[link]" in shown
    assert "$1.0000 · 3 calls" in shown
    assert "ALARM: w stopped" in shown


def test_rates_are_of_the_time_between_two_looks() -> None:
    rates = Rates()
    assert rates.of({"stored": 10}, 100.0) == {}
    assert rates.of({"stored": 30, "poison": 1}, 102.0) == {"stored": 10.0, "poison": 0.5}
    assert rates.of({"stored": 30}, 102.0) == {}
