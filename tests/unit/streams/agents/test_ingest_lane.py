"""The ingest lane between batches: snapshots when they are due, upkeep every hour, a failure that nobody waits for."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.agents.ingest import Ingest
from streams.agents.ingest_lane import UPKEEP_S, IngestLane
from streams.agents.pacing import SnapshotPacing
from tests.fakes.records import FakeRecord

FULL = 100


class Steps:
    """Ingest steps that only note what was asked of them."""

    unsaved = False

    def __init__(self, error: Exception | None = None) -> None:
        self.done: list[str] = []
        self.may_store = threading.Event()
        self.may_store.set()
        self.storing = threading.Event()
        self.storing_now = 0
        self.prepared_full = threading.Event()  # a batch as large as they get
        self._error = error

    def prepare(self, batches: list[Any]) -> list[Any]:
        count = sum(len(batch) for batch in batches)
        self.done.append(f"prepare {count}")
        if count >= FULL:
            self.prepared_full.set()
        return [SimpleNamespace(count=count, partition=SimpleNamespace(connection=batches[0].partition % 2))]

    def store(self, prepared: list[Any]) -> None:
        (part,) = prepared
        self.storing.set()
        self.storing_now += 1
        self.may_store.wait(10)
        self.done.append(f"store {part.count}")
        self.unsaved = True
        if self._error is not None:
            raise self._error

    def snapshot(self) -> dict[tuple[str, int], int]:
        self.done.append("snapshot")
        self.unsaved = False
        return {}

    def upkeep(self) -> None:
        self.done.append("upkeep")


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at


class Event:
    """A batch as Faust hands it out."""

    def __init__(self, offsets: list[int], *, partition: int = 3) -> None:
        self.value = [FakeRecord(offset, of_partition=partition) for offset in offsets]
        self.acked = asyncio.Event()

    def ack(self) -> None:
        self.acked.set()


def a_lane(steps: Steps, hands: Hands) -> IngestLane:
    pacing = SnapshotPacing(min_s=1.0, max_s=30.0, share=0.05)
    return IngestLane(cast("Ingest", steps), pacing, batch_records=FULL, connections=2, clock=cast("Any", hands))


async def take(lane: IngestLane, event: Event) -> None:
    await lane._waiting.put(event)  # noqa: SLF001  # what the Faust agent does
    await asyncio.wait_for(event.acked.wait(), 10)


async def end(lane: IngestLane) -> None:
    assert lane._worker is not None  # noqa: SLF001  # there is no other way to end it: the process does
    lane._worker.cancel()  # noqa: SLF001  # the same
    with pytest.raises(asyncio.CancelledError):
        await lane._worker  # noqa: SLF001  # the same


async def test_snapshots_come_in_their_time_and_upkeep_every_hour() -> None:
    steps, hands = Steps(), Hands()
    lane = a_lane(steps, hands)
    lane._start_work()  # noqa: SLF001  # what the Faust agent does
    await take(lane, Event([1, 2]))
    hands.at = 2.0
    await take(lane, Event([3]))
    await take(lane, Event([4]))
    assert steps.done == ["prepare 2", "store 2", "prepare 1", "store 1", "snapshot", "prepare 1", "store 1"]
    hands.at += UPKEEP_S
    await take(lane, Event([5]))
    await take(lane, Event([6]))
    assert steps.done[7:11] == ["prepare 1", "store 1", "snapshot", "upkeep"]
    assert steps.done.count("upkeep") == 1
    await end(lane)


async def test_a_batch_is_acknowledged_when_it_is_stored_and_the_next_is_prepared_meanwhile() -> None:
    steps = Steps()
    steps.may_store.clear()
    lane = a_lane(steps, Hands())
    lane._start_work()  # noqa: SLF001  # what the Faust agent does
    first, second = Event([1, 2]), Event([3] * 100)
    await lane._waiting.put(first)  # noqa: SLF001  # the same
    await asyncio.to_thread(steps.storing.wait, 10)
    await lane._waiting.put(second)  # noqa: SLF001  # the same
    await asyncio.wait_for(asyncio.to_thread(steps.prepared_full.wait, 10), 10)
    assert steps.done == ["prepare 2", "prepare 100"]
    assert not first.acked.is_set()
    steps.may_store.set()
    await asyncio.wait_for(second.acked.wait(), 10)
    assert first.acked.is_set()
    assert steps.done == ["prepare 2", "prepare 100", "store 2", "store 100"]
    await end(lane)


async def test_what_goes_between_finds_everything_stored() -> None:
    steps = Steps()
    steps.may_store.clear()
    lane = a_lane(steps, Hands())
    lane._start_work()  # noqa: SLF001  # what the Faust agent does
    event = Event([1] * 100)
    await lane._waiting.put(event)  # noqa: SLF001  # the same
    await asyncio.to_thread(steps.prepared_full.wait, 10)
    leaving = asyncio.ensure_future(lane.leave())
    await asyncio.sleep(0)
    steps.may_store.set()
    await asyncio.wait_for(leaving, 10)
    assert steps.done == ["prepare 100", "store 100", "snapshot"]
    await end(lane)


async def test_a_failure_ends_the_worker_and_acknowledges_nothing() -> None:
    lane = a_lane(Steps(ValueError("broken")), Hands())
    crashed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def crash(error: BaseException) -> None:  # as Faust has it
        crashed.set_result(error)

    lane._app = cast("Any", SimpleNamespace(crash=crash))  # noqa: SLF001  # instead of a Faust app
    lane._start_work()  # noqa: SLF001  # what the Faust agent does
    event = Event([1])
    await lane._waiting.put(event)  # noqa: SLF001  # the same
    assert str(await crashed) == "broken"
    assert lane.broken
    assert not event.acked.is_set()


async def test_partitions_of_two_connections_are_stored_at_once_and_each_in_order() -> None:
    steps = Steps()
    steps.may_store.clear()
    lane = a_lane(steps, Hands())
    lane._start_work()  # noqa: SLF001  # what the Faust agent does
    one, other = Event([1]), Event([2, 3], partition=4)
    await lane._waiting.put(one)  # noqa: SLF001  # the same
    await asyncio.to_thread(steps.storing.wait, 10)
    await lane._waiting.put(other)  # noqa: SLF001  # the same
    while steps.storing_now < 2:  # noqa: ASYNC110  # pytest's time limit is the way out
        await asyncio.sleep(0.01)
    behind = Event([4] * 100)
    await lane._waiting.put(behind)  # noqa: SLF001  # the same
    await asyncio.wait_for(asyncio.to_thread(steps.prepared_full.wait, 10), 10)
    steps.may_store.set()
    await asyncio.wait_for(behind.acked.wait(), 10)
    assert one.acked.is_set()
    assert sorted(steps.done[:2]) == ["prepare 1", "prepare 2"]
    assert steps.done.index("store 1") < steps.done.index("store 100")
    await end(lane)
