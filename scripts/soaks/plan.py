"""Which faults come, in which order: drawn by chance, the same for the same seed."""

from collections.abc import Iterator
from random import Random
from typing import Final, TypeAlias

# Faults that are injected one right after the other, before the system has recovered.
Step: TypeAlias = tuple[str, ...]

# Each once in the short form, in an order of chance. What does not disturb the other comes together.
SHORT: Final[tuple[Step, ...]] = (
    ("worker killed", "gateway killed"),
    ("worker stopped, another joins", "poison storm"),
    ("worker asleep beyond its session", "bridge killed"),
    ("Kafka killed",),
    ("database killed", "MQTT broker stopped and started"),
    ("database refuses connections", "Redis gone"),
    ("link to the database slow", "MQTT broker killed"),
    ("database full", "sessions of the database terminated", "connections to the database reset"),
)
# The long form draws from such a bag until it is empty, then from a new one.
LONG: Final[tuple[Step, ...]] = (
    *(("worker killed", "worker killed") for _ in range(4)),
    ("worker killed", "bridge killed", "gateway killed"),
    ("worker killed", "database killed"),
    ("worker stopped, another joins", "worker stopped, another joins", "worker stopped, another joins"),
    ("worker stopped, another joins", "worker killed", "poison storm"),
    ("worker asleep beyond its session",),
    ("worker asleep beyond its session", "worker killed", "bridge killed"),
    ("MQTT broker killed", "gateway killed"),
    ("MQTT broker stopped and started", "worker killed", "gateway killed"),
    ("bridge cut off from the MQTT broker", "sessions of the database terminated"),
    ("Kafka killed", "bridge killed"),
    ("Kafka silent", "gateway killed"),
    ("database killed", "gateway killed"),
    ("database refuses connections", "MQTT broker killed"),
    ("connections to the database reset", "worker killed", "connections to the database reset"),
    ("link to the database slow", "worker killed"),
    ("link to the database silent", "sessions of the database terminated"),
    ("database full", "poison storm"),
    ("sessions of the database terminated", "sessions of the database terminated"),
    ("Redis gone", "worker killed"),
    ("poison storm", "worker killed", "worker stopped, another joins"),
)
# Once, in the first bag.
ONCE: Final[Step] = ("database refuses connections for a minute",)


def short(random: Random) -> Iterator[Step]:
    """Give the steps of the short form."""
    yield from random.sample(SHORT, len(SHORT))


def long(random: Random) -> Iterator[Step]:
    """Give steps without end."""
    yield from random.sample((*LONG, ONCE), len(LONG) + 1)
    while True:
        yield from random.sample(LONG, len(LONG))
