"""The small streams over MQTT and HTTP: a batch is sent again until it is accepted, so it may come more than once."""

import http.client
import json
import threading
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.embedded import ports
from connectors.errors import ConnectorError
from connectors.mqtt.publisher import Publisher
from connectors.mqtt.settings import MqttSettings
from streams.drill.book import Book
from streams.drill.fleet import METRIC

BATCH: Final = 10
PAUSE_S: Final = 0.2
HTTP_TIMEOUT_S: Final = 30.0
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Sender(ABC, threading.Thread):
    """Sends batch after batch until it is stopped."""

    def __init__(self, name: str, book: Book) -> None:
        super().__init__(name=name, daemon=True)
        self.retried = 0
        self._book = book
        self._stopping = threading.Event()

    def stop(self, within_s: float) -> int:
        """Send no more; give how many readings nobody accepted in that time."""
        self._stopping.set()
        self.join(within_s)
        return BATCH if self.is_alive() else 0

    def run(self) -> None:
        """Send."""
        first = 0
        while not self._stopping.is_set():
            numbers = range(first, first + BATCH)
            while not self._accepted(numbers):
                self.retried += 1
                self._stopping.wait(PAUSE_S)
            for number in numbers:
                self._book.accept(number)
            first += BATCH
            self._stopping.wait(PAUSE_S)
        self._close()

    @abstractmethod
    def _accepted(self, numbers: range) -> bool:
        """Send readings and say whether all of them were accepted."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of the connection."""

    def _reading(self, number: int) -> dict[str, object]:
        stream = self._book.stream
        ts = EPOCH + timedelta(microseconds=stream.ts_us(number))
        return {"ts": ts.isoformat(), "metrics": {METRIC: stream.value(number)}}


class MqttSender(Sender):
    """Publishes at QoS 1: accepted is what the broker acknowledged."""

    def __init__(self, url: str, book: Book) -> None:
        super().__init__("mqtt-sender", book)
        self._settings = MqttSettings(url=url)
        self._publisher: Publisher | None = None

    def _accepted(self, numbers: range) -> bool:
        try:
            publisher = self._publisher
            if publisher is None:
                publisher = Publisher(self._settings, stall_s=5.0)
                publisher.connect()
                self._publisher = publisher
            for number in numbers:
                device = self._book.stream.device(number)
                publisher.publish(f"devices/{device}/readings", json.dumps(self._reading(number)).encode())
            publisher.flush()
        except ConnectorError:
            self._close()
            return False
        return True

    def _close(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()


class HttpSender(Sender):
    """Posts to the gateway: accepted is what it answered 202 to."""

    def __init__(self, port: int, book: Book) -> None:
        super().__init__("http-sender", book)
        self._port = port

    def _accepted(self, numbers: range) -> bool:
        stream = self._book.stream
        body = json.dumps([{"device_id": stream.device(number), **self._reading(number)} for number in numbers])
        connection = http.client.HTTPConnection(ports.LOOPBACK, self._port, timeout=HTTP_TIMEOUT_S)
        try:
            connection.request("POST", "/v1/readings", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return answer.status == http.client.ACCEPTED

    def _close(self) -> None:
        """Nothing is kept open."""
