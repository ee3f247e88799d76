"""How much of everything a fleet needs, from what was measured; `tidegate plan` shows it, and how it follows.

The numbers were measured on a machine of two shared cores, most by the commands under `scripts/bench`, and err on the
side of more. What nobody can measure for others (how often something is unusual, what a model costs) is asked for.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

# scripts/bench ingest: CPU of a worker a row, with detection, and one metric a message.
CPU_US_A_ROW: Final = 2.2
# CPU of PostgreSQL a row beside that: 300,000 rows of one metric, as a worker writes them.
DATABASE_CPU_US_A_ROW: Final = 2.6
# scripts/bench ingest, detection off: what is stored of other regions is not watched again.
CPU_US_A_MIRRORED_ROW: Final = 1.8
# scripts/bench mirror: CPU of MirrorMaker a record, and of the broker that it writes into and the one that it reads.
# (One that a device writes takes the broker as much.)
MIRROR_CPU_US: Final = 4.1
BROKER_CPU_US: Final = 1.7
BROKER_READ_CPU_US: Final = 0.2
# scripts/bench gateway: CPU of the gateway a reading that comes over HTTP in requests of 100; scripts/bench publish: of
# the bridge a message.
GATEWAY_CPU_US: Final = 31.0
BRIDGE_CPU_US: Final = 91.0
# A core is planned to be so busy: peaks, restarts and snapshots take the rest.
BUSY: Final = 0.5
# scripts/bench devices: memory of the light tier of detection a series; and what a worker takes without any.
BYTES_A_SERIES: Final = 880
WORKER_MIB: Final = 500
# A reading of one metric in the log without compression, and each metric more. (With lz4, and many that are alike in a
# batch, as at full speed, it is 23: what is thin does not compress.)
KAFKA_BYTES_A_READING: Final = 100
KAFKA_BYTES_A_METRIC: Final = 20
# 300,000 rows with their index; and as columnstore, of 800,000 rows (TimescaleDB alone has that).
BYTES_A_ROW: Final = 183
BYTES_A_ROW_COLUMNAR: Final = 16
# Of them, the index: that of the newest chunk should fit into a quarter of the database's memory.
INDEX_BYTES_A_ROW: Final = 87
QUARTER: Final = 0.25
# The prompts and answers of windows: each alone, and up to 16 in a call.
TOKENS_ALONE: Final = 579
TOKENS_PACKED: Final = 147
FEWEST_PARTITIONS: Final = 8
# Kafka never takes any away, and adding some moves devices: so there is room to grow.
PARTITIONS_A_WORKER: Final = 4
DAY_S: Final = 86_400
GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class Fleet:
    """What there is: `rate` is readings a second of all devices together, `alarms` a device and day."""

    devices: int
    rate: float
    metrics: int = 1
    alarms: float = 0.1
    cached: float = 0.8
    usd_a_million_tokens: float = 0.5
    kafka_days: float = 7.0
    plain_days: float = 3.0
    kept_days: float = 365.0
    replicas: int = 3
    columnar: bool = True
    regions: int = 1
    # Of the readings, those that come over MQTT; the others come over HTTP.
    mqtt: float = 0.5
    database_memory_gib: float = 128.0
    # Of a broker's disk.
    broker_tib: float = 10.0

    @property
    def here(self) -> float:
        """Readings a second that a region accepts when one of the others is gone."""
        return self.rate / max(1, self.regions - 1)

    @property
    def devices_here(self) -> int:
        """Devices that send to a region then."""
        return math.ceil(self.devices / max(1, self.regions - 1))

    @property
    def theirs(self) -> float:
        """Readings a second that come to a region from the others."""
        return self.rate * (self.regions - 1) / self.regions


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is needed, and how that follows."""

    what: str
    amount: float
    unit: str
    because: str


def plan(fleet: Fleet) -> list[Need]:
    """Say what a fleet needs: where there are several regions, what each of them does."""
    needs = [*_compute(fleet), *_doors(fleet), *_disks(fleet), *_models(fleet)]
    return [*needs, *_between(fleet)] if fleet.regions > 1 else needs


def _compute(fleet: Fleet) -> Iterator[Need]:
    # Each region stores what is accepted anywhere, and watches what it accepts itself.
    rows, series = fleet.rate * fleet.metrics, fleet.devices_here * fleet.metrics
    watched = fleet.here * fleet.metrics
    workers = max(2, math.ceil(watched * CPU_US_A_ROW / 1e6 / BUSY))
    partitions = max(FEWEST_PARTITIONS, _round_up(PARTITIONS_A_WORKER * workers))
    memory = WORKER_MIB + series * BYTES_A_SERIES / workers / 1024**2
    cores = max(1.0, rows * DATABASE_CPU_US_A_ROW / 1e6 / BUSY)
    yield Need("rows", rows, "a second", f"{fleet.rate:,.0f} readings of {fleet.metrics} metrics")
    if fleet.regions > 1:
        yield Need("of them accepted here", watched, "a second", f"when one of {fleet.regions} regions is gone")
    yield Need("partitions", partitions, "", f"{PARTITIONS_A_WORKER} a worker, to grow; {FEWEST_PARTITIONS} at least")
    yield Need("ingest workers", workers, "", f"{CPU_US_A_ROW} µs a row, cores {BUSY:.0%} busy; two at least")
    yield Need(
        "memory of each", memory, "MiB", f"{WORKER_MIB}, and {BYTES_A_SERIES} bytes for each of {series:,} of them"
    )
    yield Need("database cores", cores, "", f"{DATABASE_CPU_US_A_ROW} µs a row, cores {BUSY:.0%} busy")


def _doors(fleet: Fleet) -> Iterator[Need]:
    http, mqtt = fleet.here * (1 - fleet.mqtt), fleet.here * fleet.mqtt
    gateways = max(2, math.ceil(http * GATEWAY_CPU_US / 1e6 / BUSY))
    bridges = max(1, math.ceil(mqtt * BRIDGE_CPU_US / 1e6 / BUSY))
    yield Need("gateways", gateways, "", f"{GATEWAY_CPU_US:g} µs a reading, {1 - fleet.mqtt:.0%} of them over HTTP")
    yield Need("bridges", bridges, "", f"{BRIDGE_CPU_US:g} µs a message, {fleet.mqtt:.0%} of them over MQTT")


def _between(fleet: Fleet) -> Iterator[Need]:
    """Say what goes on between regions: each fetches from the others."""
    theirs, record = fleet.theirs, _record(fleet)
    lanes = max(1, math.ceil(theirs * fleet.metrics * CPU_US_A_MIRRORED_ROW / 1e6 / BUSY))
    makers = max(1.0, theirs * MIRROR_CPU_US / 1e6 / BUSY)
    yield Need("readings from others", theirs, "a second", f"{fleet.regions - 1} of {fleet.regions} parts of all")
    yield Need("traffic in from others", theirs * record * 8 / 1e6, "Mbit/s", f"{record} bytes a reading, not packed")
    yield Need("the same in a day", theirs * record * DAY_S / GIB, "GiB a day", "as much goes out")
    yield Need("MirrorMaker cores", makers, "", f"{MIRROR_CPU_US} µs a record, cores {BUSY:.0%} busy")
    yield Need("workers of the lane mirror", lanes, "", f"{CPU_US_A_MIRRORED_ROW} µs a row, cores {BUSY:.0%} busy")


def _record(fleet: Fleet) -> int:
    return KAFKA_BYTES_A_READING + (fleet.metrics - 1) * KAFKA_BYTES_A_METRIC


def _disks(fleet: Fleet) -> Iterator[Need]:
    record = _record(fleet)
    log = fleet.rate * record * DAY_S * fleet.kafka_days * fleet.replicas / GIB
    young = min(fleet.plain_days, fleet.kept_days) if fleet.columnar else fleet.kept_days
    old = fleet.kept_days - young
    rows = fleet.rate * fleet.metrics * DAY_S
    disk = rows * (young * BYTES_A_ROW + old * BYTES_A_ROW_COLUMNAR) / GIB
    days = f"{fleet.kafka_days:g} days"
    yield Need("Kafka's disk", log, "GiB", f"{record} bytes a reading, {days}, {fleet.replicas} replicas")
    # Each record is written to each replica, and read by a lane and by the other regions.
    cpu = fleet.rate * (fleet.replicas * BROKER_CPU_US + fleet.regions * BROKER_READ_CPU_US) / 1e6 / BUSY
    brokers = max(fleet.replicas, math.ceil(log / 1024 / fleet.broker_tib))
    yield Need(
        "Kafka's cores", max(1.0, cpu), "", f"{BROKER_CPU_US} µs a record and replica, {BROKER_READ_CPU_US} a reader"
    )
    yield Need("brokers", brokers, "", f"one a replica at least, {fleet.broker_tib:g} TiB of disk each")
    how = f"{young:g} days of {BYTES_A_ROW} bytes a row"
    how += f", {old:g} of {BYTES_A_ROW_COLUMNAR} (columnstore)" if old else ""
    yield Need("the database's disk", disk, "GiB", f"{how}; without its log and its replicas")
    index = rows / 24 * INDEX_BYTES_A_ROW / GIB
    hours = max(1.0, min(24.0, fleet.database_memory_gib * QUARTER / index))
    quarter = f"its newest chunk's index, {INDEX_BYTES_A_ROW} bytes a row, in a quarter of it"
    yield Need(
        "a chunk", hours, "hours", f"so that {fleet.database_memory_gib:g} GiB of memory are enough, if it can be"
    )
    yield Need("the database's memory", hours * index / QUARTER, "GiB", quarter)
    yield Need("chunks", fleet.kept_days * 24 / hours, "", f"{fleet.kept_days:g} days of them")


def _models(fleet: Fleet) -> Iterator[Need]:
    alarms = fleet.devices_here * fleet.alarms
    asked = alarms * (1 - fleet.cached)
    dollars = asked * TOKENS_ALONE * fleet.usd_a_million_tokens / 1e6
    tokens = f"{TOKENS_ALONE} tokens each ({TOKENS_PACKED} where 16 share a call)"
    yield Need("insights", alarms, "a day", f"{fleet.alarms:g} alarms a device and day")
    yield Need("asked of models", asked, "a day", f"the cache answers {fleet.cached:.0%}")
    yield Need("models", dollars, "dollars a day", f"{tokens}, ${fleet.usd_a_million_tokens:g} a million")


def _round_up(partitions: int) -> int:
    """Give the next power of two, or three quarters of one: it divides evenly among many numbers of workers."""
    power = 1 << (partitions - 1).bit_length()
    return 3 * power // 4 if 3 * power // 4 >= partitions else power
