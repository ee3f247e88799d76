"""Bounded reads on a real broker."""

from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Producer as ConfluentProducer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.embedded import ports
from connectors.errors import UnreachableError
from connectors.kafka.admin import Admin, Bounds
from connectors.kafka.consumer import GoneError, read
from connectors.kafka.producer import Outgoing, Producer
from connectors.kafka.settings import KafkaSettings

pytestmark = pytest.mark.kafka


def produce(kafka: KafkaSettings, topic: str, count: int, first: int = 0) -> None:
    producer = Producer(kafka)
    values = range(first, first + count)
    producer.publish([Outgoing(topic, b"device-%d" % (value % 20), b"%d" % value) for value in values])
    producer.close()


def whole(kafka: KafkaSettings, topic: str) -> dict[tuple[str, int], Bounds]:
    return Admin(kafka).bounds((topic, number) for number in range(3))


def test_a_topic_is_read_to_where_it_ended_each_partition_in_order(kafka: KafkaSettings, topic: str) -> None:
    produce(kafka, topic, 1_000)
    spans = whole(kafka, topic)
    found: dict[int, list[int]] = {}
    chunks = read(kafka, spans, most=77)
    for number, chunk in enumerate(chunks):
        if not number:
            produce(kafka, topic, 100, first=1_000)  # comes later than it ended
        assert len(chunk.records) <= 77
        for record in chunk.records:
            found.setdefault(int(record.partition() or 0), []).append(int(record.offset() or 0))
        for (_, partition), position in chunk.positions.items():
            assert position == (found.get(partition, [-1])[-1] + 1)
    assert found == {number: list(range(span.end)) for (_, number), span in spans.items() if span.end}
    assert sum(map(len, found.values())) == 1_000


def test_spans_are_read_and_nothing_else(kafka: KafkaSettings, topic: str) -> None:
    produce(kafka, topic, 300)
    (first, _, last) = sorted(whole(kafka, topic))
    spans = {first: Bounds(3, 8), last: Bounds(5, 5)}
    (chunk,) = read(kafka, spans)
    assert [(record.partition(), record.offset()) for record in chunk.records] == [
        (0, offset) for offset in range(3, 8)
    ]
    assert chunk.positions == {first: 8, last: 5}
    assert list(read(kafka, {})) == []


def test_offsets_of_a_time_are_found(kafka: KafkaSettings, topic: str) -> None:
    produce(kafka, topic, 30)
    admin, names = Admin(kafka), sorted(whole(kafka, topic))
    (moment,) = {record.timestamp()[1] for chunk in read(kafka, {names[0]: Bounds(0, 1)}) for record in chunk.records}
    when = datetime.fromtimestamp(moment / 1000, UTC)
    assert admin.offsets_at(names[:1], when)[names[0]] == 0
    ends = {name: span.end for name, span in whole(kafka, topic).items()}
    assert admin.offsets_at(names, datetime.now(UTC) + timedelta(hours=1)) == ends
    assert set(admin.offsets_at(names, when - timedelta(hours=1)).values()) == {0}


@pytest.mark.apache_kafka  # the wheel broker knows no transactions
def test_offsets_that_the_log_leaves_out_do_not_hold_it_up(kafka: KafkaSettings, topic: str) -> None:
    settings: dict[str, str | int | float | bool] = {**kafka.client(), "transactional.id": topic}
    producer = ConfluentProducer(settings)
    producer.init_transactions()
    for number in range(3):
        producer.begin_transaction()
        for _ in range(4):
            producer.produce(topic, b"%d" % number, partition=1)
        producer.flush()
        if number == 1:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
    producer.close()
    name = (topic, 1)
    end = whole(kafka, topic)[name].end
    chunks = list(read(kafka, {name: Bounds(0, end)}))
    assert [record.value() for chunk in chunks for record in chunk.records] == [b"0"] * 4 + [b"2"] * 4
    assert end > 12  # the marks of the transactions have offsets of their own
    assert chunks[-1].positions == {name: end}


@pytest.mark.apache_kafka  # the wheel broker deletes no records
def test_what_has_expired_is_said_to_be_gone(kafka: KafkaSettings, topic: str) -> None:
    produce(kafka, topic, 100)
    name, span = next((name, span) for name, span in whole(kafka, topic).items() if span.end > 10)
    client = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for future in client.delete_records([TopicPartition(*name, 5)]).values():
        future.result()
    with pytest.raises(GoneError, match="expired"):
        list(read(kafka, {name: span}))
    assert (
        len([record for chunk in read(kafka, {name: Bounds(5, span.end)}) for record in chunk.records]) == span.end - 5
    )


def test_a_broker_that_is_not_there_is_said_to_be_so() -> None:
    nobody = KafkaSettings(bootstrap_servers=f"127.0.0.1:{ports.free()}", connect_timeout_s=1)
    with pytest.raises(UnreachableError, match="TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"):
        list(read(nobody, {("readings", 0): Bounds(0, 1)}))
