"""Topics and groups: what there is, what should be there, and how far behind a group is."""

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import stamina
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # some are exported at run time only
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
)
from confluent_kafka.cimpl import NewPartitions, NewTopic

from connectors.errors import ConnectorError, UnreachableError
from connectors.kafka.settings import KafkaSettings
from schemas.topics import Topic

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as the broker has it. `id` is empty where the broker gives none."""

    name: str
    id: str
    partitions: int
    # Of the partition that has the fewest.
    replicas: int = 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a partition's log starts, and the offset that the next record will get."""

    start: int
    end: int


Partition = tuple[str, int]

# While a group has no coordinator yet, as with a broker that has just started: a matter of a second.
_ELECTING = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
)


class _ElectingError(Exception):
    """Nobody answers for a group at the moment."""


class Admin:
    """Asks and changes one cluster; every call is bounded in time."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Connect in the background; nothing is asked yet."""
        self._settings = settings
        self._timeout_s = settings.connect_timeout_s
        self._client = AdminClient(
            {**settings.client(), "socket.connection.setup.timeout.ms": int(self._timeout_s * 1000), "log_level": 0}
        )

    def cluster_id(self) -> str:
        """Give the cluster's id: half of the name of every mark that we keep about its partitions.

        Raises:
            UnreachableError: no broker answers within the connect time-out.

        """
        try:
            cluster = self._client.list_topics(timeout=self._timeout_s)
        except KafkaException as error:
            raise self._unreachable(error) from error
        return str(cluster.cluster_id)

    def topics(self, names: Iterable[str]) -> dict[str, TopicState]:
        """Describe those of `names` that exist."""
        found: dict[str, TopicState] = {}
        futures = self._client.describe_topics(TopicCollection(list(names)), request_timeout=self._timeout_s)
        for name, future in futures.items():
            try:
                description = future.result()
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue
                raise self._unreachable(error) from error
            replicas = min((len(one.replicas) for one in description.partitions), default=0)
            found[name] = TopicState(name, str(description.topic_id or ""), len(description.partitions), replicas)
        return found

    def apply(self, topics: Iterable[Topic]) -> list[str]:
        """Create the topics that are missing, and give their names. Existing ones are left as they are."""
        wanted = list(topics)
        there = self.topics(topic.name for topic in wanted)
        new = [
            NewTopic(
                topic.name,
                num_partitions=self._settings.partitions or topic.partitions,
                replication_factor=self._settings.replication_factor,
                config=topic.configuration(),
            )
            for topic in wanted
            if topic.name not in there
        ]
        if not new:
            return []
        created = []
        for name, future in self._client.create_topics(new, operation_timeout=30, request_timeout=30).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise ConnectorError(f"Kafka refused to create the topic {name}: {error.args[0].str()}") from error
            else:
                created.append(name)
        return created

    def brokers(self) -> int:
        """Count the brokers that are up."""
        return len(self._result(self._client.describe_cluster(request_timeout=self._timeout_s)).nodes)

    def configurations(self, topics: Iterable[str]) -> dict[str, dict[str, str]]:
        """Give the settings of topics, as the broker has them; nothing of one that does not tell."""
        wanted = {ConfigResource(ConfigResource.Type.TOPIC, name): name for name in topics}
        found: dict[str, dict[str, str]] = {}
        futures = self._client.describe_configs(list(wanted), request_timeout=self._timeout_s) if wanted else {}
        for resource, future in futures.items():
            entries = self._result(future)
            found[wanted[resource]] = {name: str(entry.value) for name, entry in entries.items()}
        return found

    def configure(self, topics: Iterable[Topic]) -> None:
        """Give topics that exist the settings that they should have; the others of each stay."""
        resources = []
        for topic in topics:
            entries = [
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in topic.configuration().items()
            ]
            resources.append(ConfigResource(ConfigResource.Type.TOPIC, topic.name, incremental_configs=entries))
        for future in self._client.incremental_alter_configs(resources, request_timeout=self._timeout_s).values():
            self._result(future)

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic more partitions.

        Raises:
            ConnectorError: the broker refuses it.

        """
        futures = self._client.create_partitions([NewPartitions(topic, partitions)], request_timeout=self._timeout_s)
        try:
            futures[topic].result()
        except KafkaException as error:
            raise ConnectorError(f"Kafka refused {partitions} partitions of {topic}: {error.args[0].str()}") from error

    def members(self, group: str) -> int:
        """Count the members of a group; none where there is no such group."""
        described = self._client.describe_consumer_groups([group], request_timeout=self._timeout_s)
        return len(self._result(described[group]).members)

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        """Give the start and the end of each partition's log."""
        wanted = [TopicPartition(topic, partition) for topic, partition in partitions]
        starts = self._offsets(wanted, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # it has no annotations
        ends = self._offsets(wanted, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the same
        return {key: Bounds(starts[key], ends[key]) for key in starts}

    def offsets_at(self, partitions: Iterable[Partition], when: datetime) -> dict[Partition, int]:
        """Give the first offset of each partition that was accepted at that time or later; the end where none was."""
        wanted = [TopicPartition(topic, partition) for topic, partition in partitions]
        spec = OffsetSpec.for_timestamp(math.ceil(when.timestamp() * 1000))
        found = self._offsets(wanted, spec)
        ends = self._offsets(wanted, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the same
        return {key: ends[key] if offset < 0 else offset for key, offset in found.items()}

    def newest(self, topic: str) -> datetime | None:
        """Give the latest timestamp in a topic; None where it has no record, or is not there."""
        state = self.topics([topic]).get(topic)
        if state is None:
            return None
        wanted = [TopicPartition(topic, number) for number in range(state.partitions)]
        spec = OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]  # it has no annotations
        futures = self._client.list_offsets(dict.fromkeys(wanted, spec), request_timeout=self._timeout_s)
        latest = max(self._result(future).timestamp or -1 for future in futures.values())
        return None if latest < 0 else datetime.fromtimestamp(latest / 1000, UTC)

    def delete_before(self, offsets: Mapping[Partition, int]) -> None:
        """Delete the records of partitions before these offsets (KIP-107)."""
        wanted = [TopicPartition(*name, offset) for name, offset in offsets.items()]
        for future in self._client.delete_records(wanted, request_timeout=self._timeout_s).values():
            self._result(future)

    def committed(self, group: str, partitions: Iterable[Partition]) -> dict[Partition, int]:
        """Give the offsets that a group has committed, of those partitions that it has committed any of.

        A consumer asks, which joins nothing: librdkafka's admin client ends the process when the broker goes away
        while it asks this (an assertion in `rd_kafka_enq_once_del_source_return`, librdkafka issue 4605).
        """
        consumer = Consumer({**self._settings.client(), "group.id": group, "log_level": 0})
        wanted = [TopicPartition(*name) for name in partitions]
        moving = stamina.retry_context(on=_ElectingError, timeout=self._timeout_s, wait_initial=0.1, wait_max=0.5)
        try:
            for attempt in moving:
                with attempt:
                    return self._committed(consumer, wanted)
        except _ElectingError as error:
            raise self._unreachable(KafkaException(error.args[0])) from error
        finally:
            consumer.close()
        raise AssertionError  # pragma: no cover  # stamina gives a result or raises

    def _committed(self, consumer: Consumer, wanted: list[TopicPartition]) -> dict[Partition, int]:
        try:
            found = consumer.committed(wanted, self._timeout_s)
            failed = next((tp.error for tp in found if tp.error is not None), None)
        except KafkaException as error:
            found, failed = [], error.args[0]
        if failed is not None and failed.code() in _ELECTING:
            raise _ElectingError(failed)
        if failed is not None:
            raise self._unreachable(KafkaException(failed))
        return {(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0}

    def lag(self, group: str, topic: Topic | str) -> dict[Partition, int]:
        """Say how many records of each partition the group has not committed yet."""
        name = topic if isinstance(topic, str) else topic.name
        state = self.topics([name]).get(name)
        if state is None:
            return {}
        bounds = self.bounds((name, number) for number in range(state.partitions))
        committed = self.committed(group, bounds)
        return {key: bound.end - max(committed.get(key, bound.start), bound.start) for key, bound in bounds.items()}

    def _offsets(self, wanted: list[TopicPartition], spec: OffsetSpec) -> Mapping[Partition, int]:
        futures = self._client.list_offsets(dict.fromkeys(wanted, spec), request_timeout=self._timeout_s)
        return {(tp.topic, tp.partition): self._result(future).offset for tp, future in futures.items()}

    def _result(self, future: "Future[T]") -> T:
        try:
            return future.result()
        except KafkaException as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: KafkaException) -> UnreachableError:
        return UnreachableError(
            "Kafka", self._settings.bootstrap_servers, "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS", error.args[0].str()
        )
