"""From the MQTT broker to Kafka: a message is acknowledged to the broker only when Kafka has confirmed it.

One thread does everything but the producer's delivery reports, in turns:

1. read what has come, as far as the window is open;
2. translate each message to records and hand them to the producer (`records.py`, `window.py`);
3. take in Kafka's delivery reports;
4. acknowledge to the broker, in order of arrival, what Kafka has.

When the connection is lost, what is in flight still goes to Kafka, but is not acknowledged to anybody; then the bridge
connects again, and the broker, whose session for this client id outlives the connection, delivers it again: duplicates
are possible, losses are not. The broker must keep the session and not drop from its queue. (amqtt forgets messages that
were in flight when a connection ends; they are lost if this process ends with it.)
"""

import logging
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import MQTTProtocolVersion

from connectors import metrics, tracing
from connectors.errors import ConnectorError
from connectors.mqtt.client import NEVER_EXPIRES, Connection
from connectors.mqtt.errors import LostError, UndeliveredError
from connectors.mqtt.records import records
from connectors.mqtt.settings import MqttSettings
from connectors.mqtt.window import Producer, Window

log: Final = logging.getLogger(__name__)

# However few messages they are, the window holds no more than this many bytes of records.
WINDOW_BYTES: Final = 64 * 1024 * 1024
# Pauses before the broker is tried again, in seconds: the first, doubled each time, and the longest.
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 15.0
# A connection that ended sooner than this, in seconds, counts as a failed try.
STEADY: Final = 5.0
# So many of those in a row are worth a hint.
_SUSPICIOUS: Final = 5

_TURN: Final = 1.0

_RECEIVED, _ACKNOWLEDGED, _DEAD = map(metrics.MQTT_MESSAGES.labels, ("received", "acknowledged", "dead_lettered"))


class Bridge:
    """One subscriber. `run` blocks; `stop` may be called from any thread, or from a signal handler."""

    def __init__(
        self,
        settings: MqttSettings,
        producer: Producer,
        *,
        region: str = "",
        drain_s: float = 10.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Take the settings of the broker and a producer; `drain_s` bounds how long a stop waits for Kafka."""
        self.received = 0
        self.acknowledged = 0
        self.dead_lettered = 0
        self.reconnects = 0
        self._settings = settings
        self._protocol: MQTTProtocolVersion | None = None
        self._region = region
        self._drain_s = drain_s
        self._now = now
        self._tries = 0
        self._stopping = False
        self._connected = False
        self._ringing = False
        self._bell, self._ringer = socket.socketpair()
        self._bell.settimeout(0.0)
        self._ringer.settimeout(0.0)
        self._window = Window(producer, self._ring)

    @property
    def connected(self) -> bool:
        """Whether the subscription stands."""
        return self._connected

    def snapshot(self) -> dict[str, int]:
        """Count what has happened so far; for metrics, from any thread."""
        return {
            "received": self.received,
            "sent": self._window.sent,
            "acknowledged": self.acknowledged,
            "dead_lettered": self.dead_lettered,
            "retried": self._window.retried,
            "reconnects": self.reconnects,
            "in_flight": self._window.in_flight,
            "in_flight_bytes": self._window.bytes,
        }

    def stop(self) -> None:
        """Ask `run` to return: it reads no more, waits for what is in flight, and leaves the session at the broker."""
        self._stopping = True
        self._ringing = False
        self._ring()

    def run(self) -> None:
        """Carry messages until `stop`, over any number of connections.

        Raises:
            UnreachableError: the broker did not answer at the start. (Later, it is tried again until it does.)
            RefusedError: it refused this client at the start, or the subscription.
            TakenOverError: another client uses this client id.
            ConnectorError: whatever else the producer raised; what was in flight was not acknowledged.

        """
        try:
            connection: Connection | None = self._connect()
            while connection is not None:
                connection = self._carry(connection)
        finally:
            self._bell.close()
            self._ringer.close()

    def _carry(self, connection: Connection) -> Connection | None:
        """Serve one connection to its end, and give the next, or None when asked to stop."""
        began = time.monotonic()
        try:
            try:
                self._serve(connection)
            finally:
                self._connected = False
                metrics.MQTT_CONNECTED.set(0)
                connection.close()
                self._window.disown()
        except LostError as error:
            log.warning("%s What was in flight will be delivered again.", error)
            self._tries = 0 if time.monotonic() - began > STEADY else self._tries + 1
        except UndeliveredError as error:
            self._give_back(error)
        else:
            return None
        try:
            self._settle()
        except UndeliveredError as error:
            self._give_back(error)
        if self._tries == _SUSPICIOUS:
            log.error(
                "Connections to the MQTT broker end at once. Does another client use the id %r?",
                self._settings.client_id,
            )
        return self._reconnect()

    def _give_back(self, error: UndeliveredError) -> None:
        log.warning("%s They stay with the MQTT broker.", error)
        self._window.forget()
        self._tries += 1

    def _connect(self) -> Connection:
        connection = Connection(
            self._settings, self._settings.client_id, session=True, protocol=self._protocol, on_message=self._arrived
        )
        try:
            connection.open()
        except ConnectorError:
            connection.close()
            raise
        metrics.MQTT_CONNECTIONS.inc()
        self._protocol = connection.protocol
        connection.subscribe(self._settings.topic_filter)
        if connection.session_expiry != NEVER_EXPIRES:
            log.warning("The MQTT broker keeps this session for %d s only.", connection.session_expiry)
        return connection

    def _reconnect(self) -> Connection | None:
        """Connect again, with growing and jittered pauses; None when asked to stop."""
        while not self._stopping:
            if self._tries:
                longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._tries - 1, _SUSPICIOUS * 2))
                self._rest(longest * random.uniform(0.5, 1.0))  # noqa: S311  # jitter guards no secret
            try:
                connection = self._connect()
            except ConnectorError as error:
                log.warning("%s", error)
                self._tries += 1
                continue
            self.reconnects += 1
            if not connection.session_present:
                log.error(
                    "The MQTT broker at %s has lost this client's session and its messages.", self._settings.address
                )
            return connection
        return None

    def _settle(self) -> None:
        """Wait until Kafka has what the lost connection brought; else each reconnect could bring the same again."""
        while self._window.in_flight and not self._stopping:
            self._window.send()
            self._wait(min(_TURN, self._window.pause()))
            self._window.settle()

    def _serve(self, connection: Connection) -> None:
        window = self._window
        drained = None
        while True:
            window.send()
            pause = window.pause()
            connection.turn(min(_TURN, pause), may_read=self._may_read, bell=self._bell)
            self._connected = connection.subscribed
            metrics.MQTT_CONNECTED.set(self._connected)
            metrics.MQTT_IN_FLIGHT.set(window.in_flight)
            metrics.MQTT_IN_FLIGHT_BYTES.set(window.bytes)
            self._hush()
            for mid in window.settle():
                connection.acknowledge(mid)
                self.acknowledged += 1
                _ACKNOWLEDGED.inc()
            if self._stopping:
                drained = drained or time.monotonic() + self._drain_s
                if not window.in_flight or time.monotonic() >= drained:
                    connection.turn(0.0, may_read=self._may_read)
                    return

    def _may_read(self) -> bool:
        # One more than the broker may have in flight in MQTT 5: such a broker stops by itself, and its pings are still
        # read. For others (and for QoS 0) the socket waits, and the broker with it.
        window = self._window
        return not self._stopping and window.in_flight <= self._settings.in_flight and window.bytes < WINDOW_BYTES

    def _arrived(self, message: MQTTMessage) -> None:
        self.received += 1
        _RECEIVED.inc()
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no broker should let it through; it is kept as any other message of no known topic
            topic = ""
        with tracing.begin("mqtt message", topic=topic) as it:
            found, refused = records(topic, bytes(message.payload), self._now(), self._region)
            if headers := it.headers():
                found = [record._replace(headers=headers) for record in found]
        self.dead_lettered += refused
        _DEAD.inc(refused)
        self._window.arrive(message.mid, found)

    def _ring(self) -> None:
        """Wake the thread of `run`; once is enough until it has woken."""
        if not self._ringing:
            self._ringing = True
            with suppress(OSError):  # the bell is full, or `run` has returned
                self._ringer.send(b"!")

    def _hush(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(64)
        self._ringing = False

    def _rest(self, seconds: float) -> None:
        over = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < over:
            self._wait(over - time.monotonic())

    def _wait(self, seconds: float) -> None:
        """Wait for a ring, off line."""
        self._bell.settimeout(max(seconds, 0.001))
        with suppress(TimeoutError):
            self._bell.recv(64)
        self._bell.settimeout(0.0)
        self._ringing = False
