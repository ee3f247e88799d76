"""Three ways in for a reading, as a device would use them: MQTT, HTTP, and straight to Kafka."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Protocol

from pydantic import SecretStr

from connectors.errors import ConnectorError, SlowDownError, UnreachableError
from connectors.kafka.producer import Producer
from connectors.mqtt.publisher import Publisher
from connectors.mqtt.settings import MqttSettings
from schemas.codec import encode
from schemas.models import Reading
from schemas.topics import READINGS

Confirmed = Callable[[int], None]

HTTP_BATCH = 100
HTTP_TIMEOUT_S = 30.0
KAFKA_PAUSE_S = 0.01


class Sender(Protocol):
    """A way in. `confirmed`, given when it is made, hears how many more readings are in safe hands."""

    def send(self, reading: Reading) -> None:
        """Send one reading; may wait while too many are on their way."""

    def flush(self) -> None:
        """Wait until all that was sent is confirmed, or raise."""

    def close(self) -> None:
        """Let go of the connection."""


def as_json(reading: Reading) -> dict[str, object]:
    """Give the native JSON form of a reading (MQTT and HTTP)."""
    body: dict[str, object] = {"ts": reading.ts.isoformat(), "metrics": reading.metrics}
    body.update({name: value for name in ("units", "tags", "seq") if (value := getattr(reading, name))})
    return body


class MqttSender:
    """Publishes to `devices/{id}/readings` at QoS 1."""

    def __init__(self, settings: MqttSettings, confirmed: Confirmed) -> None:
        """Connect.

        Raises:
            UnreachableError: no broker answers.

        """
        self._publisher = Publisher(settings, on_acknowledged=lambda: confirmed(1))
        self._publisher.connect()

    def send(self, reading: Reading) -> None:
        """Publish one reading."""
        self._publisher.publish(f"devices/{reading.device_id}/readings", json.dumps(as_json(reading)).encode())

    def flush(self) -> None:
        """Wait for the broker's acknowledgements."""
        self._publisher.flush()

    def close(self) -> None:
        """Disconnect."""
        self._publisher.close()


class KafkaSender:
    """Writes Avro straight to the topic `readings`."""

    def __init__(self, producer: Producer, confirmed: Confirmed) -> None:
        """Take a producer, which is closed with this sender."""
        self._producer = producer
        self._confirmed = confirmed
        self._changed = threading.Condition()
        self._open = 0
        self._error: Exception | None = None

    def send(self, reading: Reading) -> None:
        """Write one reading."""
        with self._changed:
            self._open += 1
        value = encode(reading)
        while True:
            try:
                self._producer.send(READINGS.name, reading.device_id.encode(), value, on_delivery=self._delivered)
            except SlowDownError:
                threading.Event().wait(KAFKA_PAUSE_S)
            else:
                return

    def flush(self) -> None:
        """Wait for the delivery reports, and raise the first that is an error."""
        with self._changed:
            self._changed.wait_for(lambda: self._open == 0 or self._error is not None)
            if self._error is not None:
                raise self._error

    def close(self) -> None:
        """Close the producer."""
        self._producer.close()

    def _delivered(self, error: Exception | None) -> None:
        with self._changed:
            self._open -= 1
            self._error = self._error or error
            self._changed.notify_all()
        if error is None:
            self._confirmed(1)


class HttpSender:
    """Posts readings to the gateway in batches."""

    def __init__(self, url: str, confirmed: Confirmed, key: SecretStr = SecretStr("")) -> None:  # noqa: B008  # frozen
        """`url` is the gateway's address; a key is shown to it, if there is one."""
        self._headers = {"Content-Type": "application/json"}
        if key.get_secret_value():
            self._headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        self._url = url.rstrip("/") + "/v1/readings"
        self._confirmed = confirmed
        self._batch: list[Reading] = []

    def send(self, reading: Reading) -> None:
        """Take one reading; a full batch is posted."""
        self._batch.append(reading)
        if len(self._batch) >= HTTP_BATCH:
            self.flush()

    def flush(self) -> None:
        """Post what was taken.

        Raises:
            UnreachableError: nobody answers there.
            ConnectorError: the gateway did not accept all of it; its answer says why.

        """
        if not self._batch:
            return
        body = json.dumps([{"device_id": reading.device_id, **as_json(reading)} for reading in self._batch]).encode()
        request = urllib.request.Request(  # noqa: S310  # the user's own gateway, http or https
            self._url, data=body, headers=self._headers, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as response:  # noqa: S310  # as above
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, answer = error.code, error.read()
        except OSError as error:
            raise UnreachableError("The gateway", self._url, "--url", str(error)) from error
        if status != 202:  # noqa: PLR2004  # HTTP's word for accepted
            raise ConnectorError(f"The gateway did not accept the readings (HTTP {status}): {answer[:500]!r}")
        self._confirmed(len(self._batch))
        self._batch.clear()

    def close(self) -> None:
        """Nothing is kept open."""
