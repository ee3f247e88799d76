"""A producer for many records at once: only failures are reported, as a report of each record costs more than the rest.

That nothing failed, and that nothing is queued any more, means that Kafka has confirmed all.
"""

import time
from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as ConfluentProducer

from connectors.kafka import said
from connectors.kafka.producer import DeliveryError, Outgoing, configuration
from connectors.kafka.settings import KafkaSettings

POLL_S = 0.1
LINGER_MS = 5


class BulkProducer:
    """Writes records and waits for them; for one thread."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Connect in the background."""
        self._producer = ConfluentProducer(
            {**configuration(settings, LINGER_MS), "delivery.report.only.error": True}, logger=said.log
        )
        self._timeout_s = settings.delivery_timeout_s
        self._error: DeliveryError | None = None

    def publish(self, records: Iterable[Outgoing]) -> None:
        """Write all records, those of a key in order, and wait until Kafka has confirmed each.

        Raises:
            DeliveryError: at least one was not confirmed; any number of the others may have been written.

        """
        self._error = None
        for record in records:
            self._queue(record)
        # librdkafka reports each record within its delivery time-out; the margin is for the reporting itself.
        deadline = time.monotonic() + self._timeout_s + 5.0
        # In short steps: a signal is heard between them only.
        while (left := self._producer.flush(POLL_S)) and time.monotonic() < deadline:
            pass
        if self._error is not None:
            raise self._error
        if left:
            raise DeliveryError(f"Kafka did not answer within {self._timeout_s:.0f} s")

    def close(self) -> None:
        """Drop what is queued, which nobody waits for any more, and stop."""
        self._producer.purge()
        self._producer.close()

    def _queue(self, record: Outgoing) -> None:
        headers = record.headers if isinstance(record.headers, dict) else dict(record.headers)
        while True:
            try:
                self._producer.produce(
                    record.topic, record.value, record.key, headers=headers, on_delivery=self._failed
                )
            except BufferError:
                self._producer.poll(POLL_S)
            except KafkaException as error:
                raise DeliveryError(f"Kafka did not take a record for {record.topic}: {error}") from error
            else:
                return

    def _failed(self, error: KafkaError | None, message: Message) -> None:
        if error is not None and self._error is None:
            self._error = DeliveryError(f"Kafka did not take a record for {message.topic()}: {error.str()}")
