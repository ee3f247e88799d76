"""What each part of the flow may do, and no more: access lists of Kafka, and roles of PostgreSQL.

Whoever may write a topic may describe it; whoever may read one, too: Kafka implies that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from schemas.topics import ANALYSIS_REQUESTS, DEAD_LETTERS, INSIGHTS, READINGS, TOPICS, mirrors
from streams.observe import HEARTBEATS
from streams.settings import LaneName, Settings

Resource = Literal["topic", "group", "cluster"]
READ, WRITE, DESCRIBE = "Read", "Write", "Describe"
# The name of Kafka's one cluster, as access lists have it.
CLUSTER: Final = "kafka-cluster"


@dataclass(frozen=True, slots=True)
class Acl:
    """A principal may do something to a resource."""

    principal: str
    operation: str
    resource: Resource
    name: str

    def command(self, bootstrap_servers: str) -> str:
        """Give the command of Kafka that allows it."""
        where = "--cluster" if self.resource == "cluster" else f"--{self.resource} {self.name}"
        return (
            f"kafka-acls.sh --bootstrap-server {bootstrap_servers} --command-config admin.properties --add"
            f" --allow-principal User:{self.principal} --operation {self.operation} {where}"
        )


def acls(settings: Settings) -> list[Acl]:
    """List what each part needs, as users of their own: tidegate-ingest, -analyze, -bridge, -gateway, -operator.

    And, where there are other regions, -mirror (the lane), -mirror-maker (MirrorMaker here), and -region: what another
    region's MirrorMaker needs of this cluster.
    """
    return list(_acls(settings))


def _acls(settings: Settings) -> Iterator[Acl]:
    groups = {lane: settings.kafka.group(lane) for lane in LaneName}
    ingest, analyze = "tidegate-ingest", "tidegate-analyze"
    yield from _topics(ingest, READ, [READINGS.name])
    yield from _topics(ingest, WRITE, [DEAD_LETTERS.name, ANALYSIS_REQUESTS.name])
    yield Acl(ingest, READ, "group", groups[LaneName.INGEST])
    yield from _topics(analyze, READ, [ANALYSIS_REQUESTS.name])
    # Requests that come again later, and summaries, are written by those who work on them.
    yield from _topics(analyze, WRITE, [ANALYSIS_REQUESTS.name, INSIGHTS.name, DEAD_LETTERS.name])
    yield Acl(analyze, READ, "group", groups[LaneName.ANALYZE])
    yield from _topics("tidegate-bridge", WRITE, [READINGS.name, DEAD_LETTERS.name])
    yield from _topics("tidegate-gateway", WRITE, [READINGS.name, ANALYSIS_REQUESTS.name])
    # For the overview: how much there is, and how far the groups are.
    yield from _topics("tidegate-gateway", DESCRIBE, [topic.name for topic in TOPICS])
    for group in groups.values():
        yield Acl("tidegate-gateway", DESCRIBE, "group", group)
    theirs = [topic.name for topic in mirrors(settings.peers)]
    if theirs:
        yield from _between(theirs, groups[LaneName.MIRROR])
    operator = "tidegate-operator"
    names = [*(topic.name for topic in TOPICS), *theirs]
    for operation in (READ, WRITE, "Create", "Alter", "Delete", "DescribeConfigs", "AlterConfigs"):
        yield from _topics(operator, operation, names)
    yield Acl(operator, DESCRIBE, "cluster", CLUSTER)
    for group in (*groups.values(), settings.kafka.group("reading")):
        yield Acl(operator, READ, "group", group)


def _between(theirs: Iterable[str], group: str) -> Iterator[Acl]:
    """List what it takes to have other regions' records here, and to give them ours."""
    theirs = list(theirs)
    yield from _topics("tidegate-mirror", READ, theirs)
    yield from _topics("tidegate-mirror", WRITE, [DEAD_LETTERS.name])
    yield Acl("tidegate-mirror", READ, "group", group)
    yield from _topics("tidegate-gateway", DESCRIBE, theirs)
    # It keeps topics and groups of its own, whose names it chooses.
    for operation in (READ, WRITE, DESCRIBE, "Create", "DescribeConfigs", "Alter"):
        yield Acl("tidegate-mirror-maker", operation, "topic", "'*'")
    yield Acl("tidegate-mirror-maker", READ, "group", "'*'")
    yield Acl("tidegate-mirror-maker", DESCRIBE, "cluster", CLUSTER)
    # Reads what is mirrored, and the heartbeats; writes nothing here.
    for operation in (READ, DESCRIBE, "DescribeConfigs"):
        yield from _topics("tidegate-region", operation, [*(t.name for t in TOPICS if t.mirrored), HEARTBEATS])
    yield Acl("tidegate-region", DESCRIBE, "cluster", CLUSTER)


def _topics(principal: str, operation: str, names: Iterable[str]) -> Iterator[Acl]:
    return (Acl(principal, operation, "topic", name) for name in names)


# Workers make partitions, as `tidegate db migrate` makes tables: that takes who owns them. What a reader may see holds
# no secret: neither keys nor the marks of replays.
ROLES: Final = """\
-- Once, as a superuser, in the database of Tidegate; give each a password of its own (\\password).
create role tidegate_owner login;    -- tidegate db migrate, workers, operators
create role tidegate_gateway login;  -- gateways: rows, and no tables
create role tidegate_reader login;   -- Grafana, and people who look
revoke create on schema public from public;
grant all on schema public to tidegate_owner;
grant usage on schema public to tidegate_gateway, tidegate_reader;
alter default privileges for role tidegate_owner in schema public
    grant select, insert, update, delete on tables to tidegate_gateway;
alter default privileges for role tidegate_owner in schema public
    grant usage on sequences to tidegate_gateway;
-- After tidegate db migrate:
grant select on readings, devices, device_classes, insights, spend, sink_offsets to tidegate_reader;"""
