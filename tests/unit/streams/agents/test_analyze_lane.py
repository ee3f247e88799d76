"""The analyze lane around the work: ready before it reads, nothing passed over, no failure goes by unseen."""

import asyncio
from typing import Any, cast

import pytest
from faust.types import TP

from connectors.kafka.settings import KafkaSettings
from streams.agents.analyze_lane import AnalyzeLane
from streams.agents.records import Record
from streams.lane.app import LaneOptions
from tests.fakes.records import FakeRecord

PARTITION = TP("analysis-requests", 0)


class Analyst:
    """Does what it is told: finishes, waits or fails."""

    def __init__(self) -> None:
        self.started = 0
        self.handled: list[int] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.error: Exception | None = None

    async def start(self) -> None:
        self.started += 1

    async def handle(self, record: Record) -> None:
        if self.error is not None:
            raise self.error
        await self.hold.wait()
        self.handled.append(record.offset())


class App:
    """Notes what a Faust app would be told."""

    def __init__(self) -> None:
        self.released: list[tuple[TP, int]] = []
        self.crashed: list[BaseException] = []

    def release(self, tp: TP, offset: int) -> None:
        self.released.append((tp, offset))

    async def crash(self, error: BaseException) -> None:
        self.crashed.append(error)


@pytest.fixture
def analyst() -> Analyst:
    return Analyst()


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def lane(analyst: Analyst, app: App) -> AnalyzeLane:
    made = AnalyzeLane(analyst, in_flight=2, waiting=10)
    made._app = cast("Any", app)  # noqa: SLF001  # instead of a Faust app
    return made


async def submit(lane: AnalyzeLane, offset: int) -> None:
    record = FakeRecord(offset)
    await lane._work.submit(PARTITION, offset, b"d", record)  # noqa: SLF001  # what the Faust agent does


async def test_it_is_ready_before_it_reads_from_the_committed_offsets(lane: AnalyzeLane, analyst: Analyst) -> None:
    assert await lane.take_over(frozenset({PARTITION}), 1) == {}
    assert analyst.started == 1


async def test_what_is_finished_is_released(lane: AnalyzeLane, app: App, analyst: Analyst) -> None:
    await submit(lane, 4)
    await submit(lane, 7)
    await lane.leave()
    assert analyst.handled == [4, 7]
    assert app.released[-1] == (PARTITION, 8)


async def test_what_is_not_finished_when_partitions_go_is_not_passed_over(
    lane: AnalyzeLane, app: App, analyst: Analyst, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.agents.analyze_lane.SETTLE_S", 0.01)
    await submit(lane, 4)
    await lane._work.settle(10)  # noqa: SLF001  # until the first is done
    analyst.hold.clear()
    await submit(lane, 5)
    await lane.leave()
    await lane.take_over(frozenset(), 2)
    analyst.hold.set()
    await asyncio.sleep(0)
    assert app.released == [(PARTITION, 5)]
    assert analyst.handled == [4]


async def test_a_failure_that_nobody_foresaw_ends_the_worker(lane: AnalyzeLane, app: App, analyst: Analyst) -> None:
    analyst.error = ZeroDivisionError("?")
    await submit(lane, 4)
    await lane._work.settle(10)  # noqa: SLF001  # until it has failed
    assert lane.broken
    assert app.crashed == [analyst.error]
    assert app.released == []


class Schedule:
    """Is looked at as often as it asks for; fails the second time."""

    def __init__(self, every_s: float = 0.0) -> None:
        self.every_s = every_s
        self.looked = 0

    async def look(self) -> bool:
        self.looked += 1
        if self.looked == 2:
            raise ZeroDivisionError
        return False


async def test_without_somebody_who_looks_for_what_is_due_the_worker_ends(lane: AnalyzeLane, app: App) -> None:
    schedule = Schedule()
    async with asyncio.timeout(5):
        await lane._look_at(schedule)  # noqa: SLF001  # what the Faust app runs
    assert schedule.looked == 2
    assert [type(error) for error in app.crashed] == [ZeroDivisionError]


async def test_every_schedule_is_looked_at_as_often_as_it_asks_for(analyst: Analyst, app: App) -> None:
    rare, often = Schedule(every_s=3600.0), Schedule()
    made = AnalyzeLane(analyst, in_flight=2, waiting=10, schedules=[rare, often])
    options = LaneOptions("g", ["analysis-requests"], 10, without_position="earliest")
    faust = made.app(KafkaSettings(bootstrap_servers="127.0.0.1:9"), options)
    made._app = cast("Any", app)  # noqa: SLF001  # instead of a Faust app
    looks = [asyncio.ensure_future(look()) for look in faust._app_tasks]  # noqa: SLF001  # what it starts
    async with asyncio.timeout(5):
        await looks[1]
    assert (rare.looked, often.looked) == (1, 2)
    looks[0].cancel()
