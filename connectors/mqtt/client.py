"""One connection to an MQTT broker, turned by its owner's thread: address, TLS, credentials, protocol version.

paho runs here without a thread of its own (its documented external loop), so that reading can pause, acknowledgements
leave in one place and in one order, and nothing of a lost connection survives it: each connection is a new client.
MQTT 5 is asked for first. A broker that refuses it, or hangs up, is asked for 3.1.1; so is one that says nothing for a
while (amqtt waits for the rest of a CONNECT that it cannot read).
"""

import selectors
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from connectors.errors import ConnectorError, UnreachableError
from connectors.mqtt.errors import LostError, RefusedError, TakenOverError
from connectors.mqtt.settings import MqttSettings
from connectors.mqtt.tls import CHECK_FILES, context

URL_SETTING: Final = "TIDEGATE_MQTT__URL"
NEVER_EXPIRES: Final = 0xFFFFFFFF
# MQTT 5, section 3.3.4: what a broker that names no receive maximum accepts.
RECEIVE_MAXIMUM: Final = 65535

# The version to ask for first.
VERSIONS: Final = {
    "auto": MQTTProtocolVersion.MQTTv5,
    "5": MQTTProtocolVersion.MQTTv5,
    "3.1.1": MQTTProtocolVersion.MQTTv311,
}

_NO_SUBSCRIBERS: Final = 0x10
_UNSUPPORTED_VERSION: Final = 0x84
_REFUSES_CREDENTIALS: Final = frozenset({0x86, 0x87})
_TAKEN_OVER: Final = 0x8E
# The part of the time to connect that a broker has for its answer to MQTT 5.
_SHARE_OF_5: Final = 0.4
# Packets read in one turn at the most, so that acknowledgements are not kept waiting by a busy socket.
_PACKETS_A_TURN: Final = 500


def always() -> bool:
    """Let a turn read without a bound."""
    return True


class Connection:
    """A client for one connection; all methods belong to one thread.

    `protocol` is the version that an earlier connection found out. `session` keeps subscriptions and unacknowledged
    messages at the broker while the client is away. `on_message` gets what arrives, `on_published` the packet id of
    each message that the broker acknowledged; `unheard` counts those for which it knew no subscriber (MQTT 5 only).
    """

    def __init__(
        self,
        settings: MqttSettings,
        client_id: str,
        *,
        session: bool,
        protocol: MQTTProtocolVersion | None = None,
        on_message: Callable[[MQTTMessage], None] | None = None,
        on_published: Callable[[int], None] | None = None,
    ) -> None:
        self.subscribed = False
        self.unheard = 0
        self.session_present = False
        self.receive_maximum = RECEIVE_MAXIMUM
        self.session_expiry = NEVER_EXPIRES
        self.protocol = protocol or VERSIONS[settings.version]
        self.address = settings.address
        self._settings = settings
        self._client_id = client_id
        self._session = session
        self._on_message = on_message
        self._on_published = on_published
        self._selector = selectors.DefaultSelector()
        self._watched: int = 0
        self._packets = 0
        self._connack: ReasonCode | None = None
        self._goodbye: ReasonCode | None = None
        self._refusal: str | None = None
        self._topic_filter = ""
        self._client: Client | None = None

    def open(self) -> None:
        """Connect and wait for the broker's answer, all within `connect_timeout_s`.

        Raises:
            UnreachableError: nothing answers in time, or not as an MQTT broker.
            RefusedError: the broker refuses the client, or TLS does not come about.

        """
        deadline = time.monotonic() + self._settings.connect_timeout_s
        answer = None
        if self.protocol == MQTTProtocolVersion.MQTTv5:
            only = self._settings.version == "5"
            answer = self._ask(deadline if only else time.monotonic() + self._settings.connect_timeout_s * _SHARE_OF_5)
            if not only and (answer is None or answer.value == _UNSUPPORTED_VERSION):
                self.protocol = MQTTProtocolVersion.MQTTv311
        if self.protocol == MQTTProtocolVersion.MQTTv311:
            answer = self._ask(deadline)
        if answer is None:
            raise self._unreachable("it takes the connection, but does not answer as an MQTT broker")
        if answer.value in _REFUSES_CREDENTIALS:
            raise RefusedError(
                f"The MQTT broker at {self.address} refuses this client ({answer}). "
                "Check TIDEGATE_MQTT__USERNAME and TIDEGATE_MQTT__PASSWORD."
            )
        if answer.is_failure:
            raise self._unreachable(str(answer))

    def subscribe(self, topic_filter: str) -> None:
        """Ask for `topic_filter` at QoS 1; the answer comes in one of the next turns and shows in `subscribed`."""
        self._topic_filter = topic_filter
        if self.protocol == MQTTProtocolVersion.MQTTv5:
            # Retained messages are sent once for a new subscription, not again on every reconnect.
            self._connected().subscribe(topic_filter, options=SubscribeOptions(qos=1, retainHandling=1))
        else:
            self._connected().subscribe(topic_filter, qos=1)

    def turn(self, timeout: float, *, may_read: Callable[[], bool] = always, bell: socket.socket | None = None) -> None:
        """Write what is queued, read what has come while `may_read()`, keep alive; wait at most `timeout` seconds.

        A byte on `bell` ends the wait; the caller takes it.

        Raises:
            LostError: the connection is gone.
            TakenOverError: it was ended for another client with the same id.
            RefusedError: the broker does not grant a subscription, or did not accept a message.

        """
        client = self._connected()
        if client.want_write():
            self._check(client.loop_write())
        sock = self._socket(client)
        reading = may_read()
        # Bytes that TLS has already decrypted do not show at the socket.
        pending = reading and isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        self._watch(sock, reading=reading, writing=client.want_write())
        if bell is not None and bell not in self._selector.get_map():
            self._selector.register(bell, selectors.EVENT_READ)
        ready = self._selector.select(0.0 if pending else timeout)
        if pending or any(key.fileobj is sock and events & selectors.EVENT_READ for key, events in ready):
            self._read(client, may_read)
        self._check(client.loop_misc())

    def acknowledge(self, mid: int) -> None:
        """Queue a PUBACK; it leaves with the next turn."""
        self._connected().ack(mid, 1)

    def publish(self, topic: str, payload: bytes) -> int:
        """Queue a QoS 1 message; it leaves with the next turn. Returns its packet id.

        Raises:
            LostError: the connection is gone.

        """
        info = self._connected().publish(topic, payload, qos=1)
        self._check(info.rc)
        return info.mid

    def close(self) -> None:
        """Say goodbye if the broker still listens. The session, where there is one, stays with the broker."""
        if self._client is not None and self._client.socket() is not None:
            self._client.disconnect()
            self._client.loop_write()
        self._hang_up()

    def _hang_up(self) -> None:
        self._selector.close()
        client, self._client = self._client, None
        sock = None if client is None else client.socket()
        if sock is not None:
            sock.close()

    def _read(self, client: Client, may_read: Callable[[], bool]) -> None:
        """Read until a packet is no message and no acknowledgement: nearly always, until none is left."""
        for _ in range(_PACKETS_A_TURN):
            packets = self._packets
            self._check(client.loop_read())
            if self._packets == packets or not may_read():
                break
        if self._refusal is not None:
            raise RefusedError(f"The MQTT broker at {self.address} {self._refusal}")

    def _ask(self, deadline: float) -> ReasonCode | None:
        """Connect with one version of the protocol; None if there is no answer."""
        client = self._client = self._build(deadline)
        try:
            if self.protocol == MQTTProtocolVersion.MQTTv5:
                properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types it not at all
                if self._session:
                    properties.SessionExpiryInterval = NEVER_EXPIRES
                    properties.ReceiveMaximum = self._settings.in_flight
                client.connect(
                    self._settings.host,
                    self._settings.port,
                    self._settings.keepalive_s,
                    clean_start=not self._session,
                    properties=properties,
                )
            else:
                client.connect(self._settings.host, self._settings.port, self._settings.keepalive_s)
        except ssl.SSLError as error:
            raise RefusedError(f"TLS with {self.address} failed ({error.reason or error}). {CHECK_FILES}") from error
        except OSError as error:
            raise self._unreachable(error.strerror or str(error)) from error
        while self._connack is None and time.monotonic() < deadline:
            try:
                self.turn(self._left(deadline))
            except LostError:
                break
        return self._connack

    def _build(self, deadline: float) -> Client:
        self._hang_up()
        self._selector = selectors.DefaultSelector()
        self._watched = 0
        self._connack = None
        settings = self._settings
        clean = None if self.protocol == MQTTProtocolVersion.MQTTv5 else not self._session
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=clean,
            protocol=self.protocol,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = max(self._left(deadline), 0.01)
        client.max_inflight_messages_set(0)
        if settings.username:
            client.username_pw_set(settings.username, settings.password.get_secret_value() or None)
        if settings.tls:
            client.tls_set_context(context(settings))
        client.on_connect = self._connected_to
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._granted
        client.on_message = self._arrived
        client.on_publish = self._published
        # Without this callback paho would write each packet at once, by a call of the system for each.
        client.on_socket_register_write = _nothing
        return client

    def _connected(self) -> Client:
        if self._client is None:
            raise LostError
        return self._client

    def _socket(self, client: Client) -> Any:  # noqa: ANN401  # paho's own type for it is a protocol without fileno's kind
        sock = client.socket()
        if sock is None:
            raise self._lost()
        return sock

    def _watch(self, sock: Any, *, reading: bool, writing: bool) -> None:  # noqa: ANN401  # as above
        events = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if writing else 0)
        if events == self._watched:
            return
        if not self._watched:
            self._selector.register(sock, events)
        elif events:
            self._selector.modify(sock, events)
        else:
            self._selector.unregister(sock)
        self._watched = events

    def _check(self, code: MQTTErrorCode) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise self._lost()

    def _lost(self) -> ConnectorError:
        if self._goodbye is not None and self._goodbye.value == _TAKEN_OVER:
            return TakenOverError()
        because = f" ({self._goodbye})" if self._goodbye is not None else ""
        return LostError(f"The connection to the MQTT broker at {self.address} was lost{because}.")

    def _unreachable(self, detail: str) -> UnreachableError:
        return UnreachableError("The MQTT broker", self.address, URL_SETTING, detail)

    @staticmethod
    def _left(deadline: float) -> float:
        return max(0.0, deadline - time.monotonic())

    # paho's callbacks, all on the thread that turns the connection.

    def _connected_to(
        self, _client: Client, _data: object, flags: ConnectFlags, code: ReasonCode, said: Properties | None
    ) -> None:
        self._connack = code
        self.session_present = flags.session_present
        self.receive_maximum = getattr(said, "ReceiveMaximum", RECEIVE_MAXIMUM)
        self.session_expiry = getattr(said, "SessionExpiryInterval", NEVER_EXPIRES)

    def _disconnected(
        self, _client: Client, _data: object, flags: DisconnectFlags, code: ReasonCode, _said: object
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._goodbye = code

    def _granted(self, _client: Client, _data: object, _mid: int, codes: list[ReasonCode], _said: object) -> None:
        self.subscribed = codes[0].value == 1
        if not self.subscribed:
            self._refusal = (
                f"does not grant QoS 1 on {self._topic_filter} ({codes[0]}). "
                "Check its access list and TIDEGATE_MQTT__TOPIC_FILTER."
            )

    def _arrived(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        self._packets += 1
        if self._on_message is not None:
            self._on_message(message)

    def _published(self, _client: Client, _data: object, mid: int, code: ReasonCode, _said: object) -> None:
        self._packets += 1
        if code.is_failure:
            self._refusal = f"did not accept a message ({code}). Check its access list and its limits."
            return
        self.unheard += code.value == _NO_SUBSCRIBERS
        if self._on_published is not None:
            self._on_published(mid)


def _nothing(_client: Client, _data: object, _sock: object) -> None:
    """Stand where paho asks to be told that there is something to write: every turn looks."""
