"""Sites with devices of their own, which send over MQTT or HTTP, wherever a name server leads them.

A batch is sent again until it is accepted. Over MQTT, what a broker has acknowledged is safe when the bridge has handed
it on, some milliseconds later; a site that comes to another region sends there what was acknowledged in the last
seconds again. That costs nothing: the same reading is stored once.
"""

import http.client
import json
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from connectors.errors import ConnectorError
from connectors.mqtt.publisher import Publisher
from connectors.mqtt.settings import MqttSettings
from streams.drill.book import Book
from streams.drill.fleet import METRIC

BATCH: Final = 10
PAUSE_S: Final = 0.2
PATIENCE_S: Final = 4.0
# Mosquitto writes what it has acknowledged every second.
AGAIN_S: Final = 3.0
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A batch was accepted: when (Unix time), by which region, and its first reading."""

    at: float
    region: str
    first: int


class Leads(Protocol):
    """Knows where to send to."""

    def address(self) -> str:
        """Give an address; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Always:
    """Leads to one address."""

    to: str

    def address(self) -> str:
        """Give it."""
        return self.to


@dataclass(frozen=True, slots=True)
class Way:
    """Where a site sends to: the port is the same at every address. `regions` gives the region of each address.

    What is not accepted within `patience_s` is sent again, wherever it leads by then.
    """

    leads: Leads
    port: int
    regions: Mapping[str, str] = field(default_factory=dict)
    patience_s: float = PATIENCE_S


class Site(ABC, threading.Thread):
    """Sends batch after batch until it is stopped."""

    def __init__(self, home: str, book: Book, way: Way) -> None:
        """`home` is the region that it is near to."""
        super().__init__(name=book.stream.name, daemon=True)
        self.home = home
        self.book = book
        self.accepted: list[Accepted] = []
        self.sent_again = 0
        self._way = way
        self._stopping = threading.Event()

    def stop(self, within_s: float = 0.0) -> int:
        """Send no more than what is on its way; give how many readings nobody accepted in that time."""
        self._stopping.set()
        self.join(within_s)
        return BATCH if self.is_alive() else 0

    def since(self, moment: float) -> Sequence[Accepted]:
        """Give what was accepted at that time or later, oldest first."""
        found = deque[Accepted]()
        for one in reversed(self.accepted):
            if one.at < moment:
                break
            found.appendleft(one)
        return list(found)

    def run(self) -> None:
        """Send."""
        first = 0
        while not self._stopping.is_set():
            numbers = range(first, first + BATCH)
            # What may have been accepted is sent until somebody says that it was.
            while not ((address := self._way.leads.address()) and self._accepted(address, numbers)):
                time.sleep(PAUSE_S)
            for number in numbers:
                self.book.accept(number)
            self.accepted.append(Accepted(time.time(), self._way.regions.get(address, ""), first))
            first += BATCH
            self._stopping.wait(PAUSE_S)
        self._close()

    @abstractmethod
    def _accepted(self, address: str, numbers: range) -> bool:
        """Send readings and say whether all of them were accepted."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of the connection."""

    def _reading(self, number: int) -> dict[str, object]:
        stream = self.book.stream
        ts = EPOCH + timedelta(microseconds=stream.ts_us(number))
        return {"ts": ts.isoformat(), "metrics": {METRIC: stream.value(number)}}


class MqttSite(Site):
    """Publishes at QoS 1: accepted is what the broker acknowledged."""

    def __init__(self, home: str, book: Book, way: Way) -> None:
        """Nothing is connected yet."""
        super().__init__(home, book, way)
        self._publisher: Publisher | None = None
        self._address = ""

    def _accepted(self, address: str, numbers: range) -> bool:
        try:
            if address != self._address or self._publisher is None:
                self._close()
                moved, self._address = bool(self._address) and address != self._address, address
                self._publisher = self._connected(address)
                if moved:
                    self._send_again()
            self._send(numbers)
        except ConnectorError:
            self._close()
            return False
        return True

    def _connected(self, address: str) -> Publisher:
        patience_s = self._way.patience_s
        settings = MqttSettings(url=f"mqtt://{address}:{self._way.port}", connect_timeout_s=patience_s)
        publisher = Publisher(settings, stall_s=patience_s)
        publisher.connect()
        return publisher

    def _send_again(self) -> None:
        last = self.accepted[-1].at if self.accepted else 0.0
        for batch in self.since(last - AGAIN_S):
            self._send(range(batch.first, batch.first + BATCH))
            self.sent_again += BATCH

    def _send(self, numbers: range) -> None:
        if self._publisher is None:
            return
        for number in numbers:
            device = self.book.stream.device(number)
            self._publisher.publish(f"devices/{device}/readings", json.dumps(self._reading(number)).encode())
        self._publisher.flush()

    def _close(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.close()


class HttpSite(Site):
    """Posts to the gateway: accepted is what it answered 202 to."""

    def _accepted(self, address: str, numbers: range) -> bool:
        stream = self.book.stream
        body = json.dumps([{"device_id": stream.device(number), **self._reading(number)} for number in numbers])
        connection = http.client.HTTPConnection(address, self._way.port, timeout=self._way.patience_s)
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
