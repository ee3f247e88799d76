"""The device's side: publish at QoS 1 with a bounded number of messages in flight, and lose none on the way.

There is no thread: the network is served while `publish` and `flush` run. A caller that pauses for longer than the
keepalive is dropped by the broker and connects again with its next call.
"""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

from paho.mqtt.enums import MQTTProtocolVersion

from connectors.errors import ConnectorError, UnreachableError
from connectors.mqtt.client import Connection
from connectors.mqtt.errors import LostError, StalledError
from connectors.mqtt.settings import MqttSettings

# How many messages may wait for the broker's acknowledgement; less where the broker says so.
IN_FLIGHT: Final = 1000

_TURN: Final = 0.25
_PAUSE: Final = 0.2


class Publisher:
    """A client that publishes; used as a context manager, or closed by hand.

    `on_acknowledged` is called once for each message that the broker has acknowledged. After `stall_s` seconds without
    any progress, publishing and flushing fail. `unheard` counts messages that the broker had nobody to give to, and
    threw away (told by MQTT 5 only).
    """

    def __init__(
        self,
        settings: MqttSettings,
        *,
        in_flight: int = IN_FLIGHT,
        stall_s: float = 30.0,
        on_acknowledged: Callable[[], None] | None = None,
    ) -> None:
        self.acknowledged = 0
        self.unheard = 0
        self._settings = settings
        self._protocol: MQTTProtocolVersion | None = None
        self._in_flight = in_flight
        self._stall_s = stall_s
        self._on_acknowledged = on_acknowledged
        self._client_id = f"tidegate-publisher-{uuid4().hex[:12]}"
        self._connection: Connection | None = None
        # In order of publishing; a message keeps its place when it is sent again under another packet id.
        self._unacknowledged: dict[int, tuple[str, bytes]] = {}
        self._numbers: dict[int, int] = {}
        self._published = 0
        self._progress = time.monotonic()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> None:
        """Connect within `connect_timeout_s`.

        Raises:
            UnreachableError: nothing answers at the address.
            RefusedError: the broker refuses this client.

        """
        self._progress = time.monotonic()
        self._resume()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish one message; waits while too many are in flight. Where it fails, `flush` still tries to send it.

        Raises:
            StalledError: no acknowledgement came for `stall_s` seconds.
            UnreachableError: the broker went away and did not come back in that time.
            RefusedError: the broker did not accept a message.

        """
        if not self._unacknowledged:
            self._progress = time.monotonic()
        while len(self._unacknowledged) >= self._limit():
            self._turn(_TURN)
        number = self._published
        self._published += 1
        self._unacknowledged[number] = (topic, payload)
        try:
            self._send(self._open(), number)
        except LostError:
            self._reconnect()
        self._turn(0.0)

    def flush(self) -> None:
        """Wait until the broker has acknowledged every message.

        Raises:
            StalledError, UnreachableError, RefusedError: as `publish`.

        """
        while self._unacknowledged:
            self._turn(_TURN)

    def close(self) -> None:
        """Disconnect; what was not flushed may not have arrived."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self.unheard += connection.unheard
            connection.close()

    def _limit(self) -> int:
        return min(self._in_flight, self._open().receive_maximum)

    def _open(self) -> Connection:
        return self._connection or self._resume()

    def _resume(self) -> Connection:
        """Connect, and send again what was not acknowledged, in order."""
        connection = Connection(
            self._settings, self._client_id, session=False, protocol=self._protocol, on_published=self._acknowledge
        )
        try:
            connection.open()
            self._numbers.clear()
            for number in self._unacknowledged:
                self._send(connection, number)
        except ConnectorError:
            connection.close()
            raise
        self._connection = connection
        self._protocol = connection.protocol
        return connection

    def _turn(self, timeout: float) -> None:
        try:
            self._open().turn(timeout)
        except LostError:
            self._reconnect()
        if self._unacknowledged and time.monotonic() - self._progress > self._stall_s:
            raise StalledError(
                f"The MQTT broker at {self._settings.address} has acknowledged nothing for {self._stall_s:g} s, "
                f"and {len(self._unacknowledged)} messages wait. Is it overloaded, or out of disk?"
            )

    def _send(self, connection: Connection, number: int) -> None:
        topic, payload = self._unacknowledged[number]
        self._numbers[connection.publish(topic, payload)] = number

    def _reconnect(self) -> None:
        """Connect again, within `stall_s` of the last progress."""
        self.close()
        while True:
            try:
                self._resume()
            except (UnreachableError, LostError):
                if time.monotonic() + _PAUSE > self._progress + self._stall_s:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def _acknowledge(self, mid: int) -> None:
        number = self._numbers.pop(mid, None)
        if number is None:
            return
        del self._unacknowledged[number]
        self.acknowledged += 1
        self._progress = time.monotonic()
        if self._on_acknowledged is not None:
            self._on_acknowledged()
