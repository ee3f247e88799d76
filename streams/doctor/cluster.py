"""Kafka: the topics and their settings, the groups and who works in them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.embedded import kafka
from connectors.kafka.admin import Admin, TopicState
from schemas.topics import TOPICS, Topic, mirrors
from streams.doctor.finding import Finding, no_address
from streams.observe import readers
from streams.settings import Settings

# With so many brokers a record should not be on one disk alone.
SEVERAL: Final = 3
# Who has not read what is older than this part of the retention may lose it.
NEARLY_EXPIRED: Final = 0.5


def check(settings: Settings) -> Iterator[Finding]:
    """Look at the cluster.

    Raises:
        UnreachableError: it does not answer.

    """
    if not settings.kafka.bootstrap_servers:
        yield no_address("Kafka", kafka.SETTING)
        return
    admin = Admin(settings.kafka)
    yield Finding("Kafka", fine=True, seen=f"cluster {admin.cluster_id()} at {settings.kafka.bootstrap_servers}")
    topics = [*TOPICS, *mirrors(settings.peers)]
    there = admin.topics(topic.name for topic in topics)
    configurations = admin.configurations(there)
    brokers = admin.brokers()
    for topic in topics:
        state = there.get(topic.name)
        if state is None:
            yield Finding(f"topic {topic.name}", fine=False, seen="missing", cure="tidegate topics apply")
            continue
        yield Finding(f"topic {topic.name}", fine=True, seen=f"{state.partitions} partitions")
        yield from _settings(topic, configurations[topic.name])
        yield from _replicas(state, brokers, configurations[topic.name])
    for lane, topic in readers(settings):
        if topic.name in there:
            yield from _group(admin, settings.kafka.group(lane), topic)


def _settings(topic: Topic, configured: Mapping[str, str]) -> Iterator[Finding]:
    wanted = topic.configuration()
    # A broker of another make may not say.
    differ = {name: value for name, value in wanted.items() if configured.get(name, value) != value}
    if differ:
        seen = ", ".join(f"{name} is {configured[name]}, and {value} is meant" for name, value in differ.items())
        yield Finding(f"topic {topic.name} settings", fine=False, seen=seen, cure="tidegate topics apply --settings")


def _replicas(state: TopicState, brokers: int, configured: Mapping[str, str]) -> Iterator[Finding]:
    if brokers >= SEVERAL and state.replicas < SEVERAL:
        seen = f"{state.replicas} of each partition, on {brokers} brokers"
        cure = (
            "What was accepted is on so many disks: make the topic anew with TIDEGATE_KAFKA__REPLICATION_FACTOR=3, or "
            "have it reassigned with kafka-reassign-partitions."
        )
        yield Finding(f"topic {state.name} replicas", fine=False, seen=seen, cure=cure)
    insync = int(configured.get("min.insync.replicas", "1"))
    if state.replicas >= SEVERAL and insync < SEVERAL - 1:
        seen = f"min.insync.replicas is {insync}"
        yield Finding(
            f"topic {state.name} replicas", fine=False, seen=seen, cure="Set it to 2: else one disk may be all."
        )


def _group(admin: Admin, group: str, topic: Topic) -> Iterator[Finding]:
    lag = admin.lag(group, topic)
    behind, members = sum(lag.values()), admin.members(group)
    seen = f"{members} members, {behind} records behind"
    name = f"group {group}" + (f" of {topic.name}" if topic.home else "")
    if members:
        yield Finding(name, fine=True, seen=seen)
    else:
        cure = "No worker runs: tidegate worker" if behind else ""
        yield Finding(name, fine=not behind, seen=seen, cure=cure)
    late = {partition for partition, records in lag.items() if records}
    if not late:
        return
    limit = datetime.now(UTC) - NEARLY_EXPIRED * topic.retention
    # The first record that is younger than that; what is not read before it is older.
    offsets, ends = admin.offsets_at(late, limit), admin.bounds(late)
    expiring = {partition for partition in late if ends[partition].end - lag[partition] < offsets[partition]}
    if expiring:
        hours = topic.retention / timedelta(hours=1)
        names = ", ".join(f"{there}[{number}]" for there, number in sorted(expiring))
        yield Finding(
            f"{name} retention",
            fine=False,
            seen=f"{names}: what is not read yet is older than half of the {hours:.0f} hours that Kafka keeps it",
            cure="Start workers, or raise the topic's retention.ms until they have caught up: else it is lost.",
        )
