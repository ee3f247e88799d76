"""When records arrived in Kafka, as the broker itself wrote it down (`LogAppendTime`), and the rate that follows.

Nothing is counted while a system runs: where the log ends is asked for, and the times are read afterwards.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, TopicPartition

from connectors.errors import ConnectorError
from connectors.kafka.admin import Admin, Partition
from connectors.kafka.settings import KafkaSettings
from schemas.topics import READINGS
from scripts.benches import commits, waiting
from scripts.benches.commits import Span

Ends = Mapping[Partition, int]

READ_AT_ONCE = 10_000
SILENCE_S = 10.0


class ArrivalsError(ConnectorError):
    """The records of a measurement did not arrive, or cannot be read back."""


@dataclass(frozen=True)
class Log:
    """The topic `readings`."""

    kafka: KafkaSettings

    def ends(self) -> Ends:
        """Give where each partition's log ends now."""
        admin = Admin(self.kafka)
        state = admin.topics([READINGS.name]).get(READINGS.name)
        if state is None:
            raise ArrivalsError("the topic readings is not there")
        bounds = admin.bounds((READINGS.name, number) for number in range(state.partitions))
        return {partition: bound.end for partition, bound in bounds.items()}

    def wait(self, since: Ends, records: int, alive: Callable[[], None]) -> None:
        """Wait until so many records have arrived since then; `alive` is called at each look and may raise.

        Raises:
            ArrivalsError: none more came for some seconds.

        """
        admin = Admin(self.kafka)
        before = sum(since.values())

        def come() -> int:
            return sum(bound.end for bound in admin.bounds(since).values()) - before

        if (seen := waiting.grown(come, records, alive)) < records:
            raise ArrivalsError(f"no more records for {waiting.STALLED_S:.0f} s after {seen} of {records}")

    def span(self, since: Ends) -> Span:
        """Read when the records since then arrived; the first 15 % are left out.

        Raises:
            ArrivalsError: they cannot be read back, or arrived all at once.

        """
        found = span(self._times(since))
        if found is None:
            raise ArrivalsError("the records arrived all at once: too few to be measured")
        return found

    def _times(self, since: Ends) -> npt.NDArray[np.int64]:
        """Read the timestamp of each record, in milliseconds."""
        consumer = Consumer(
            {**self.kafka.client(), "group.id": "tidegate-bench-arrivals", "enable.auto.commit": False, "log_level": 0}
        )
        times: list[int] = []
        try:
            expected = sum(self.ends().values()) - sum(since.values())
            consumer.assign([TopicPartition(topic, number, offset) for (topic, number), offset in since.items()])
            while len(times) < expected:
                messages = consumer.consume(READ_AT_ONCE, SILENCE_S)
                if not messages:
                    raise ArrivalsError(f"{len(times)} of {expected} records could be read back")
                times += [message.timestamp()[1] for message in messages if message.error() is None]
        finally:
            consumer.close()
        return np.array(times, dtype=np.int64)


def span(times_ms: npt.NDArray[np.int64], left_out: float = commits.LEFT_OUT) -> Span | None:
    """Find the span to be measured from the time of each arrival, in any order; None: there are too few."""
    at, records = np.unique(times_ms, return_counts=True)
    return commits.span(at / 1000, records, left_out)
