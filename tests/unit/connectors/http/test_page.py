from datetime import UTC, datetime
from html.parser import HTMLParser

from connectors.http import page
from connectors.timescale.reader import DeviceRow
from schemas.fields import Severity, Source
from schemas.models import Insight

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(1)>"
TEXT_ONLY = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "a", "main", "table", "thead", "tbody"}
CELLS = {"tr", "th", "td", "bdi", "span"}


class Seen(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.links: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _value in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def insight(**fields: object) -> Insight:
    given: dict[str, object] = {
        "id": "6f1c7d3e-5a53-5c0b-9a0e-7469646567a7",
        "request_id": "6f1c7d3e-5a53-5c0b-9a0e-7469646567a8",
        "device_id": "pump",
        "metric": "temperature",
        "window_start": NOW,
        "window_end": NOW,
        "kind": "level",
        "severity": Severity.CRITICAL,
        "summary": "hot",
        "confidence": 0.5,
        "source": Source.RULES,
        "topic": "readings",
        "partition": 0,
        "first_offset": 0,
        "last_offset": 0,
        "latency_s": 0.0,
        "created": NOW,
    }
    return Insight.model_validate({**given, **fields})


def test_what_devices_and_models_say_is_text() -> None:
    device = EVIL.replace("/", "")
    html = page._devices([DeviceRow(device, EVIL, {}, {}, NOW, NOW)]) + page._insights(  # noqa: SLF001  # pure parts
        [insight(device_id=device, metric=device, summary=EVIL, model=EVIL)]
    )
    seen = Seen(html)
    assert seen.tags <= TEXT_ONLY | CELLS
    assert seen.attributes <= {"href", "class", "scope"}
    assert seen.text.count(EVIL) == 3
    assert seen.links[0].startswith("/v1/devices/%3Cscript%3E")
    assert all(link.startswith("/v1/devices/") and link.endswith("/readings") for link in seen.links)


def test_an_empty_page_says_so() -> None:
    assert "No device" in page._devices([])  # noqa: SLF001  # pure part
    assert "no insight" in page._insights([])  # noqa: SLF001  # pure part


def test_a_list_that_was_cut_says_so() -> None:
    rows = [DeviceRow(f"d{n:03}", "", {}, {}, NOW, NOW) for n in range(page.DEVICES + 1)]
    assert "first 50" in page._devices(rows)  # noqa: SLF001  # pure part
    assert "first 50" not in page._devices(rows[:-1])  # noqa: SLF001  # pure part
