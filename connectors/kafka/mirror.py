"""MirrorMaker 2's configuration (KIP-382), made from the list of regions: dedicated mode, beside the cluster it fills.

Each region fetches from the others what it wants and writes into its own cluster, so a region that is cut off has
nothing to push, and one that is gone is in nobody's way. Only `readings` and `insights` are fetched, and arrive as
`<region>.<topic>`, which no region fetches again: nothing goes in circles.

The topics are ours (`schemas.topics.mirrors`), so MirrorMaker changes no settings of them. Groups, access lists and
offsets of consumers stay where they are: each region's workers have positions of their own.
"""

from collections.abc import Iterable
from typing import Final

from connectors.errors import ConnectorError
from connectors.regions import Cluster, Regions
from schemas.topics import MIRRORED_MESSAGE_BYTES, SEPARATOR, TOPICS

# How many partitions are copied at once.
TASKS: Final = 4
# New partitions of a region's topics are noticed after that long, and one that was away is looked for as often.
LOOK_S: Final = 10
# No limit of a topic's bounds what a record is that was packed well. The topics here take twice as much. A longer one
# stops the copying of its partitions: Connect could be told to pass over what it cannot write, but would then pass over
# everything while, say, an access list is wrong.
MOST_UNPACKED: Final = MIRRORED_MESSAGE_BYTES // 2
# A region that comes back is fetched from again so soon.
RECONNECT_MS: Final = 1000


class MirrorError(ConnectorError):
    """There is nothing that could be mirrored."""


def configuration(regions: Regions, here: str) -> dict[str, str]:
    """Give the properties for MirrorMaker in the region `here`; run it with `--clusters <here>`.

    Passwords are `${env:…}`: MirrorMaker reads them from its environment.

    Raises:
        MirrorError: no region of the list has that name.

    """
    if here not in regions.names:
        raise MirrorError(f"the region {here or '(TIDEGATE_REGION is not set)'} is not in the list of regions")
    topics = ",".join(topic.name for topic in TOPICS if topic.mirrored)
    properties = {
        "clusters": ", ".join(regions.names),
        "config.providers": "env",
        "config.providers.env.class": "org.apache.kafka.common.config.provider.EnvVarConfigProvider",
        "replication.policy.separator": SEPARATOR,
        "refresh.topics.interval.seconds": str(LOOK_S),
        "tasks.max": str(TASKS),
    }
    for region in regions.regions:
        properties |= _prefixed(region.name, _reached(region.kafka, region.password_variable).items())
        properties |= _prefixed(region.name, _patience().items())
    own = next(region for region in regions.regions if region.name == here)
    properties |= _prefixed(here, _worker().items())
    replicas = str(own.kafka.replication_factor)
    kept = (
        "replication.factor",
        "offset.storage.replication.factor",
        "config.storage.replication.factor",
        "status.storage.replication.factor",
        "heartbeats.topic.replication.factor",
    )
    properties |= dict.fromkeys(kept, replicas)
    for region in regions.others(here):
        flow = f"{region.name}->{here}"
        properties |= _prefixed(flow, _flow(topics).items())
        properties[f"{here}->{region.name}.enabled"] = "false"  # the other one does that
    return properties


def text(properties: dict[str, str]) -> str:
    """Write properties as Java reads them."""
    return "".join(f"{name} = {value}\n" for name, value in properties.items())


def _flow(topics: str) -> dict[str, str]:
    return {
        "enabled": "true",
        "topics": topics,
        "sync.topic.configs.enabled": "false",
        "sync.topic.acls.enabled": "false",
        "sync.group.offsets.enabled": "false",
        "emit.checkpoints.enabled": "false",
        "emit.offset-syncs.enabled": "false",
        # One a second goes the same way as the records: that none comes tells that the way is shut.
        "emit.heartbeats.enabled": "true",
    }


def _reached(cluster: Cluster, password: str) -> dict[str, str]:
    """Give the settings by which a Java client reaches a cluster."""
    reached = {"bootstrap.servers": cluster.bootstrap_servers, "security.protocol": cluster.security_protocol}
    if cluster.sasl_mechanism is not None:
        module = "plain.PlainLoginModule" if cluster.sasl_mechanism == "PLAIN" else "scram.ScramLoginModule"
        reached["sasl.mechanism"] = cluster.sasl_mechanism
        reached["sasl.jaas.config"] = (
            f"org.apache.kafka.common.security.{module} required "
            f'username="{cluster.sasl_username}" password="${{env:{password}}}";'
        )
    for store, file in (("truststore", cluster.ssl_ca_location), ("keystore", cluster.ssl_keystore_location)):
        if file:
            reached |= {f"ssl.{store}.type": "PEM", f"ssl.{store}.location": file}
    return reached


def _patience() -> dict[str, str]:
    return {
        "reconnect.backoff.max.ms": str(RECONNECT_MS),
        "consumer.auto.offset.reset": "earliest",
        # Small batches are not waited for: this is how far a region is behind another at the least.
        "consumer.fetch.max.wait.ms": "100",
    }


def _worker() -> dict[str, str]:
    """Give what the workers of Connect, on which MirrorMaker stands, are told."""
    return {
        # One that was killed is replaced at once, not after five minutes.
        "scheduled.rebalance.max.delay.ms": "0",
        # All that it needs says of itself what it is: no class has to be searched, which takes half of a start.
        "plugin.discovery": "service_load",
        "offset.flush.interval.ms": "5000",
        "producer.compression.type": "lz4",
        "producer.linger.ms": "5",
        # A record is unpacked on its way, and packed again: in between it may be much longer than a topic allows.
        "producer.max.request.size": str(MOST_UNPACKED),
        "producer.buffer.memory": str(2 * MOST_UNPACKED),
    }


def _prefixed(prefix: str, properties: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {f"{prefix}.{name}": value for name, value in properties}
