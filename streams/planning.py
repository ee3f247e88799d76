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


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is needed, and how that follows."""

    what: str
    amount: float
    unit: str
    because: str


def plan(fleet: Fleet) -> list[Need]:
    """Say what a fleet needs."""
    return [*_compute(fleet), *_disks(fleet), *_models(fleet)]


def _compute(fleet: Fleet) -> Iterator[Need]:
    rows, series = fleet.rate * fleet.metrics, fleet.devices * fleet.metrics
    workers = max(2, math.ceil(rows * CPU_US_A_ROW / 1e6 / BUSY))
    partitions = max(FEWEST_PARTITIONS, _round_up(PARTITIONS_A_WORKER * workers))
    memory = WORKER_MIB + series * BYTES_A_SERIES / workers / 1024**2
    cores = max(1.0, rows * DATABASE_CPU_US_A_ROW / 1e6 / BUSY)
    yield Need("rows", rows, "a second", f"{fleet.rate:,.0f} readings of {fleet.metrics} metrics")
    yield Need("partitions", partitions, "", f"{PARTITIONS_A_WORKER} a worker, to grow; {FEWEST_PARTITIONS} at least")
    yield Need("ingest workers", workers, "", f"{CPU_US_A_ROW} µs a row, cores {BUSY:.0%} busy; two at least")
    yield Need(
        "memory of each", memory, "MiB", f"{WORKER_MIB}, and {BYTES_A_SERIES} bytes for each of {series:,} of them"
    )
    yield Need("database cores", cores, "", f"{DATABASE_CPU_US_A_ROW} µs a row, cores {BUSY:.0%} busy")


def _disks(fleet: Fleet) -> Iterator[Need]:
    record = KAFKA_BYTES_A_READING + (fleet.metrics - 1) * KAFKA_BYTES_A_METRIC
    log = fleet.rate * record * DAY_S * fleet.kafka_days * fleet.replicas / GIB
    young = min(fleet.plain_days, fleet.kept_days) if fleet.columnar else fleet.kept_days
    old = fleet.kept_days - young
    rows = fleet.rate * fleet.metrics * DAY_S
    disk = rows * (young * BYTES_A_ROW + old * BYTES_A_ROW_COLUMNAR) / GIB
    days = f"{fleet.kafka_days:g} days"
    yield Need("Kafka's disk", log, "GiB", f"{record} bytes a reading, {days}, {fleet.replicas} replicas")
    how = f"{young:g} days of {BYTES_A_ROW} bytes a row"
    how += f", {old:g} of {BYTES_A_ROW_COLUMNAR} (columnstore)" if old else ""
    yield Need("the database's disk", disk, "GiB", f"{how}; without its log and its replicas")


def _models(fleet: Fleet) -> Iterator[Need]:
    alarms = fleet.devices * fleet.alarms
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
