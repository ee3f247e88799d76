"""The log as a client sees it that only looks: where it ends, and what the workers' group has committed.

It asks through a consumer that joins nothing, and through another one when that got no answer: once, after the broker
had been frozen and went on, one got none any more while every worker had all of theirs. The admin client of librdkafka
2.16 ends the process (an assertion in `rd_kafka_enq_once_del_source_return`) when the broker goes away while some
of its requests are on their way, and here the broker is killed all the time.
"""

from typing import Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from connectors.errors import ConnectorError
from schemas.topics import READINGS, Topic

TIMEOUT_S: Final = 3.0


class LogError(ConnectorError):
    """Kafka does not answer."""


class Log:
    """One cluster, and one group; for one thread."""

    def __init__(self, address: str, group: str) -> None:
        """Nothing is asked yet."""
        self._settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": address,
            "group.id": group,
            "enable.auto.commit": False,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
        self._consumer = Consumer(self._settings)

    def ends(self, topic: Topic = READINGS) -> dict[int, int]:
        """Give the end of each partition; nothing expires in a soak, so that is how many records it had.

        Raises:
            LogError: Kafka does not answer.

        """
        found = {}
        for number in range(topic.partitions):
            try:
                bounds = self._consumer.get_watermark_offsets(TopicPartition(topic.name, number), TIMEOUT_S)
            except KafkaException as error:
                raise self._unanswered(str(error)) from error
            if bounds is None:
                raise self._unanswered(f"no answer about {topic.name}[{number}]")
            found[number] = bounds[1]
        return found

    def committed(self) -> dict[int, int]:
        """Give what the group has committed.

        Raises:
            LogError: Kafka does not answer.

        """
        wanted = [TopicPartition(READINGS.name, number) for number in range(READINGS.partitions)]
        try:
            found = self._consumer.committed(wanted, TIMEOUT_S)
        except KafkaException as error:
            raise self._unanswered(str(error)) from error
        if any(partition.error is not None for partition in found):
            raise LogError("the group's coordinator is away")
        return {partition.partition: partition.offset for partition in found if partition.offset >= 0}

    def _unanswered(self, reason: str) -> LogError:
        """Make the error, and let another consumer ask next time."""
        self._consumer.close()
        self._consumer = Consumer(self._settings)
        return LogError(reason)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()
