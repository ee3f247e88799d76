"""More partitions for a topic, put together: checked first, and the detectors of what moves begin anew.

Which partition a device is in follows from its key and from how many there are, so most devices move. What was written
stays where it is: a record that is not read yet may be read after a later one that is in another partition. And the
detectors of the old partition would take a device that has moved for one that is silent. So a topic grows when all of
it has been read and nobody writes, and its detectors begin anew.
"""

from dataclasses import dataclass

from connectors.kafka.admin import Admin
from connectors.timescale import ledger
from connectors.timescale.connection import connect
from connectors.timescale.ledger import PartitionKey
from schemas.errors import TidegateError
from schemas.topics import BY_NAME
from streams.observe import READERS
from streams.settings import Settings


class GrowError(TidegateError):
    """It cannot grow so, or should not now."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A topic that has grown, and of how many partitions the detectors begin anew."""

    topic: str
    before: int
    partitions: int
    detectors: int


def grow(settings: Settings, topic: str, partitions: int, who: str, *, anyway: bool = False) -> Grown:
    """Give a topic more partitions.

    Raises:
        GrowError: there is no such topic, it has as many or more, or not all of it was read (unless `anyway`).
        UnreachableError: Kafka or the database does not answer.

    """
    admin = Admin(settings.kafka)
    cluster = admin.cluster_id()
    if topic not in BY_NAME:
        raise GrowError(f"{topic} is not one of the topics: {', '.join(BY_NAME)}")
    state = admin.topics([topic]).get(topic)
    if state is None:
        raise GrowError(f"There is no topic {topic} yet: set TIDEGATE_KAFKA__PARTITIONS and run tidegate topics apply.")
    if partitions <= state.partitions:
        raise GrowError(f"{topic} has {state.partitions} partitions, and Kafka never takes any away.")
    groups = [settings.kafka.group(lane) for lane, read in READERS.items() if read.name == topic]
    behind = sum(sum(admin.lag(group, topic).values()) for group in groups)
    if behind and not anyway:
        raise GrowError(
            f"{behind:,} records of {topic} are not read yet: those of devices that move would be read after what they "
            "send next. Stop those who write (bridge, gateways, producers of others), let the workers finish, and try "
            "again; or say --anyway."
        )
    with connect(settings.database, autocommit=True) as connection:
        # In this order: should we die in between, the same can be asked for again.
        key = PartitionKey(cluster, topic, state.id, 0)
        detectors = ledger.restart_detectors(connection, key, who=who, partitions=partitions)
        admin.grow(topic, partitions)
    return Grown(topic, state.partitions, partitions, detectors)
