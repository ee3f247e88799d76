import asyncio
import threading
from collections.abc import Callable, Mapping

import pytest

from connectors.errors import ConnectorError, SlowDownError
from connectors.http.delivery import UnconfirmedError, deliver

Delivery = Callable[[Exception | None], None]
RECORDS = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]


class Held:
    """Takes records, and reports when told to, from another thread as the real producer does."""

    def __init__(self, room: int = 100) -> None:
        self.sent: list[tuple[str, bytes | None, bytes]] = []
        self.reports: list[Delivery] = []
        self.headers: dict[str, bytes] = {}
        self._room = room

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        *,
        headers: Mapping[str, bytes] | None = None,
        on_delivery: Delivery,
    ) -> None:
        self.headers = dict(headers or {})
        if len(self.sent) == self._room:
            raise SlowDownError
        self.sent.append((topic, key, value))
        self.reports.append(on_delivery)

    def report(self, error: Exception | None = None) -> None:
        thread = threading.Thread(target=self.reports.pop(0), args=(error,))
        thread.start()
        thread.join()


async def _turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_returns_only_after_the_last_report() -> None:
    producer = Held()
    waiting = asyncio.create_task(deliver(producer, "t", RECORDS, within_s=10))
    await _turns()
    assert producer.sent == [("t", b"a", b"1"), ("t", b"b", b"2"), ("t", b"a", b"3")]
    for _ in RECORDS:
        assert not waiting.done()
        producer.report()
        await _turns()
    assert waiting.done()
    await waiting


async def test_one_failure_fails_the_whole() -> None:
    producer = Held()
    waiting = asyncio.create_task(deliver(producer, "t", RECORDS, within_s=10))
    await _turns()
    producer.report(ConnectorError("gone"))
    producer.report()
    producer.report()
    with pytest.raises(UnconfirmedError) as caught:
        await waiting
    assert str(caught.value.__cause__) == "gone"


async def test_silence_is_a_failure_and_late_reports_harm_nobody() -> None:
    producer = Held()
    with pytest.raises(UnconfirmedError, match=r"within 0\.01 s"):
        await deliver(producer, "t", RECORDS, within_s=0.01)
    for _ in RECORDS:
        producer.report()
    await _turns()


async def test_a_full_queue_is_said_at_once() -> None:
    with pytest.raises(SlowDownError):
        await deliver(Held(room=2), "t", RECORDS, within_s=10)


def test_a_report_after_the_end_of_the_loop_harms_nobody() -> None:
    producer = Held()
    with pytest.raises(UnconfirmedError):
        asyncio.run(deliver(producer, "t", RECORDS, within_s=0.01))
    for report in producer.reports:
        report(None)
