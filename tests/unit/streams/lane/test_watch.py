"""What ends a lane from outside: its topic is gone, or another one; a broker that is away ends nothing."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import cast

import pytest

from connectors.clock import Clock
from connectors.errors import UnreachableError
from connectors.kafka.admin import Admin, Bounds, Partition, TopicState
from streams.lane.watch import TopicChangedError, Watch
from streams.lane.watchdog import StalledError, Watchdog

HERE = ("readings", 0)


class FakeAdmin:
    def __init__(self) -> None:
        self.id: str | None = "first"
        self.end = 0
        self.away = False

    def topics(self, names: Iterable[str]) -> dict[str, TopicState]:
        if self.away:
            raise UnreachableError("Kafka", "here", "VARIABLE", "gone")
        return {name: TopicState(name, self.id, 1) for name in names if self.id is not None}

    def bounds(self, partitions: Iterable[Partition]) -> dict[Partition, Bounds]:
        return {partition: Bounds(0, self.end) for partition in partitions}


class Reading:
    """A client that has read up to somewhere."""

    def __init__(self) -> None:
        self.positions: dict[Partition, int] = {HERE: 5}
        self.busy = False


@pytest.fixture
def admin() -> FakeAdmin:
    return FakeAdmin()


def a_watch(admin: FakeAdmin, now: list[float]) -> Watch:
    clock = SimpleNamespace(monotonic=lambda: now[0])
    return Watch(cast("Admin", admin), ["readings"], cast("Clock", clock), Watchdog(idle_s=60.0, busy_s=900.0))


async def test_a_topic_that_is_gone(admin: FakeAdmin) -> None:
    watch = a_watch(admin, [0.0])
    await watch.look(Reading())
    admin.id = None
    with pytest.raises(TopicChangedError, match="readings is gone"):
        await watch.look(Reading())


async def test_another_topic_of_the_same_name(admin: FakeAdmin) -> None:
    watch = a_watch(admin, [0.0])
    await watch.look(Reading())
    admin.id = "second"
    with pytest.raises(TopicChangedError, match=r"made anew while it was read .*first.*second"):
        await watch.look(Reading())


async def test_nothing_moves(admin: FakeAdmin) -> None:
    now = [0.0]
    watch, reading = a_watch(admin, now), Reading()
    admin.end = 10
    await watch.look(reading)
    now[0] = 61.0
    with pytest.raises(StalledError):
        await watch.look(reading)


async def test_it_goes_on_looking_while_kafka_is_away(admin: FakeAdmin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.lane.watch.LOOK_S", 0.0)
    admin.away = True
    looks = 0

    def topics(names: Iterable[str]) -> dict[str, TopicState]:
        nonlocal looks
        looks += 1
        if looks == 3:
            admin.id, admin.away = None, False
        return FakeAdmin.topics(admin, names)

    admin.topics = topics  # type: ignore[method-assign]  # counted
    with pytest.raises(TopicChangedError):
        await a_watch(admin, [0.0]).run(cast("Reading", SimpleNamespace()))
    assert looks == 3
