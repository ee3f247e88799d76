"""Bounded reads of topics: from offsets to offsets, without a group, so nobody's position moves."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.errors import ConnectorError, UnreachableError
from connectors.kafka import said
from connectors.kafka.admin import Bounds, Partition
from connectors.kafka.settings import KafkaSettings

# How long one call into the client may wait for records.
POLL_S = 0.5
# How much may be fetched ahead.
AHEAD_RECORDS, AHEAD_KIB = 20_000, 64 * 1024

_EOF = KafkaError._PARTITION_EOF  # noqa: SLF001  # how librdkafka's own codes are named
_FORBIDDEN = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_GONE = frozenset({KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET})  # noqa: SLF001  # the same


class GoneError(ConnectorError):
    """What was to be read is in the log no more."""


class ForbiddenError(ConnectorError):
    """An access list does not let us read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records, those of each partition in order, and where reading goes on after them."""

    records: Sequence[Message]
    positions: Mapping[Partition, int]


def read(settings: KafkaSettings, spans: Mapping[Partition, Bounds], *, most: int = 5_000) -> Iterator[Chunk]:
    """Read spans of partitions to their ends, which are not part of them, in chunks of `most` records at the most.

    Offsets that the log leaves out (transactions, compaction) are passed over.

    Raises:
        GoneError: the log begins after the start of a span.
        ForbiddenError: an access list does not let us read it.
        UnreachableError: no broker has answered within the connect time-out.

    """
    positions = {name: span.start for name, span in spans.items() if span.start < span.end}
    # What is said of a group, as that it is forbidden, is said of no topic.
    topics = sorted({topic for topic, _ in spans})
    with _reading(settings, positions) as consumer:
        silent_s = 0.0
        while positions:
            records = []
            for message in consumer.consume(most, POLL_S):
                name = (str(message.topic()), int(message.partition() or 0))
                error = message.error()
                if error is not None and error.code() != _EOF:
                    _check(error, name, topics)
                    continue
                span, offset = spans[name], int(message.offset() or 0)
                if name not in positions:
                    continue
                if error is None and offset < span.end:
                    records.append(message)
                    offset += 1
                # What follows may be an offset that the log leaves out: the end of the log is the end as well.
                positions[name] = offset
                if error is not None or offset >= span.end:
                    consumer.incremental_unassign([TopicPartition(*name)])
                    del positions[name]
            silent_s = 0.0 if records else silent_s + POLL_S
            if records:
                yield Chunk(records, {name: positions.get(name, spans[name].end) for name in spans})
            elif positions and silent_s > settings.connect_timeout_s:
                _ask(consumer, settings)
                silent_s = 0.0


@contextmanager
def _reading(settings: KafkaSettings, positions: Mapping[Partition, int]) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            **settings.client(),
            # It joins no group and commits nothing: a name is needed all the same.
            "group.id": settings.group("reading"),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "allow.auto.create.topics": False,
            "queued.min.messages": AHEAD_RECORDS,
            "queued.max.messages.kbytes": AHEAD_KIB,
            "fetch.wait.max.ms": 100,
            "log_level": 3,
        },
        logger=said.log,
    )
    try:
        consumer.incremental_assign([TopicPartition(*name, offset) for name, offset in sorted(positions.items())])
        yield consumer
    finally:
        consumer.close()


def _check(error: KafkaError, name: Partition, topics: Sequence[str]) -> None:
    if error.code() in _GONE:
        raise GoneError(f"{name[0]}[{name[1]}]: what was to be read first has expired meanwhile. Begin later.")
    if error.code() in _FORBIDDEN:
        why = f"Kafka does not let us read {', '.join(topics)}: {error.str().rstrip('.')}."
        raise ForbiddenError(f"{why} What each part needs is shown by: tidegate doctor --acls")
    if error.fatal() or error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise GoneError(f"{name[0]} cannot be read: {error.str()}")
    # Everything else passes: the client goes on trying, and `_ask` finds out when nobody answers at all.


def _ask(consumer: Consumer, settings: KafkaSettings) -> None:
    try:
        consumer.list_topics(timeout=settings.connect_timeout_s)
    except KafkaException as error:
        raise UnreachableError(
            "Kafka", settings.bootstrap_servers, "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS", error.args[0].str()
        ) from error
