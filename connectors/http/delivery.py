"""Writing the readings of one request to Kafka, and knowing that it has them all."""

import asyncio
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress

from connectors.errors import ConnectorError
from connectors.http.parts import Producer


class UnconfirmedError(ConnectorError):
    """Kafka has not confirmed every reading; any number of them may have been written."""


async def deliver(
    producer: Producer,
    topic: str,
    records: Iterable[tuple[bytes, bytes]],
    *,
    within_s: float,
    headers: Mapping[str, bytes] | None = None,
) -> None:
    """Write keys and values, in order, and return when Kafka has confirmed each. Holds no thread while it waits.

    All of them get the same headers.

    Raises:
        SlowDownError: the producer's queue is full; those before it may be written.
        UnconfirmedError: a write failed, or was not confirmed within `within_s` seconds.

    """
    reports = _Reports(asyncio.get_running_loop())
    for key, value in records:
        reports.expect()
        producer.send(topic, key, value, headers=headers, on_delivery=reports.take)
    reports.complete()
    try:
        async with asyncio.timeout(within_s):
            await reports.done
    except TimeoutError:
        raise UnconfirmedError(f"Kafka did not confirm the readings within {within_s:g} s") from None
    if reports.error is not None:
        raise UnconfirmedError("Kafka did not take every reading") from reports.error


class _Reports:
    """Counts delivery reports, which come from another thread, and wakes the event loop once, after the last."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.done: asyncio.Future[None] = loop.create_future()
        self.error: Exception | None = None
        self._loop = loop
        self._lock = threading.Lock()
        self._open = 1  # held until all have been sent

    def expect(self) -> None:
        with self._lock:
            self._open += 1

    def complete(self) -> None:
        self.take(None)

    def take(self, error: Exception | None) -> None:
        with self._lock:
            self._open -= 1
            self.error = self.error or error
            last = self._open == 0
        if last:
            with suppress(RuntimeError):  # the loop has ended, and with it the request
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
