"""Whatever the schedule: order within a key, bounds on what is under way, commits over gapless runs alone."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from streams.keyed import KeyedWork

KEYS = [b"a", b"b", b"c", b""]


class HandlerError(Exception):
    """What a handler raises."""


@dataclass(eq=False)
class Item:
    partition: str
    offset: int
    key: bytes
    life: int
    stubborn: bool
    outcome: "asyncio.Future[None]"
    cleaned_up: asyncio.Event = field(default_factory=asyncio.Event)
    state: str = "waiting"  # then "active", "cleaning up", and "finished" or "ended"


class Schedules(RuleBasedStateMachine):
    """Takes every step that the agent, the handlers and a rebalance can take, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()
        self.life = 0
        self.next_offset = {"p": 0, "q": 1000}
        self.submitted: list[Item] = []  # of this life
        self.all: list[Item] = []
        self.released: dict[str, list[int]] = {}
        self.first_failure: BaseException | None = None
        self.submitting: asyncio.Task[bool] | None = None
        self.last: Item | None = None
        self.dropping: asyncio.Task[None] | None = None

    @initialize(in_flight=st.integers(1, 3), waiting=st.integers(1, 6))
    def build(self, in_flight: int, waiting: int) -> None:
        self.in_flight, self.waiting = in_flight, waiting
        self.work: KeyedWork[str, Item] = KeyedWork(self.handle, self.release, in_flight=in_flight, waiting=waiting)

    # -- what the work calls -------------------------------------------------------------------------------------------

    async def handle(self, item: Item) -> None:
        busy = [other for other in self.all if other.state in ("active", "cleaning up")]
        assert not [other for other in busy if other.key == item.key], "two of one key at once"
        assert len(busy) < self.in_flight
        earlier = self.submitted[: self.submitted.index(item)]
        assert not [other for other in earlier if other.key == item.key and other.state == "waiting"], "out of order"
        item.state = "active"
        try:
            await item.outcome
            item.state = "finished"
        except asyncio.CancelledError:
            if item.stubborn:
                item.state = "cleaning up"
                await item.cleaned_up.wait()
            raise
        finally:
            if item.state != "finished":
                item.state = "ended"

    def release(self, partition: str, offset: int) -> None:
        self.released.setdefault(partition, []).append(offset)

    # -- steps ---------------------------------------------------------------------------------------------------------

    def spin(self) -> None:
        async def turns() -> None:
            for _ in range(20):
                await asyncio.sleep(0)

        self.runner.run(turns())
        if self.submitting is not None and self.submitting.done():
            assert self.last is not None
            assert self.submitting.result() is (self.last.life == self.life), "False exactly when it was dropped"
            self.submitting = None
        if self.dropping is not None and self.dropping.done():
            self.dropping.result()
            self.dropping = None

    @precondition(lambda self: self.submitting is None)
    @rule(
        partition=st.sampled_from(["p", "q"]),
        key=st.sampled_from(KEYS),
        gap=st.sampled_from([1, 1, 3]),
        stubborn=st.booleans(),
    )
    def submit(self, partition: str, key: bytes, gap: int, stubborn: bool) -> None:  # noqa: FBT001  # drawn by hypothesis
        offset = self.next_offset[partition]
        self.next_offset[partition] += gap
        self.last = Item(partition, offset, key, self.life, stubborn, self.loop.create_future())
        self.all.append(self.last)
        self.submitted.append(self.last)
        self.submitting = self.loop.create_task(self.work.submit(partition, offset, key, self.last))
        self.spin()

    def active(self) -> list[Item]:
        return [item for item in self.all if item.state == "active"]

    @precondition(lambda self: self.active())
    @rule(data=st.data(), how=st.sampled_from(["finish", "finish", "finish", "finish", "fail", "cancel"]))
    def end(self, data: st.DataObject, how: str) -> None:
        item = data.draw(st.sampled_from(self.active()))
        if how == "finish":
            item.outcome.set_result(None)
        elif how == "fail":
            error = HandlerError()
            item.outcome.set_exception(error)
            self.first_failure = self.first_failure or error
        else:
            item.stubborn = False
            item.outcome.cancel()
            self.first_failure = self.first_failure or asyncio.CancelledError()
        self.spin()

    @precondition(lambda self: self.dropping is None)
    @rule()
    def drop(self) -> None:
        self.life += 1
        for item in self.submitted:
            if item.state == "waiting":
                item.state = "ended"
        self.submitted = []
        self.released = {}
        self.dropping = self.loop.create_task(self.work.drop())
        self.spin()

    @precondition(lambda self: any(item.state == "cleaning up" for item in self.all))
    @rule()
    def clean_up(self) -> None:
        for item in self.all:
            if item.state == "cleaning up":
                item.cleaned_up.set()
        self.spin()

    # -- what always holds ---------------------------------------------------------------------------------------------

    @invariant()
    def releases_follow_gapless_runs(self) -> None:
        for partition in self.next_offset:
            expected = None
            for item in self.submitted:
                if item.partition == partition:
                    if item.state != "finished":
                        break
                    expected = item.offset + 1
            released = self.released.get(partition, [])
            assert (released[-1] if released else None) == expected
            assert released == sorted(set(released)), "rising"

    @invariant()
    def bounds_hold(self) -> None:
        if hasattr(self, "work"):
            assert len(self.work) <= self.waiting

    @invariant()
    def failures_show(self) -> None:
        if hasattr(self, "work"):
            assert type(self.work.failure) is type(self.first_failure)
            if isinstance(self.first_failure, HandlerError):
                assert self.work.failure is self.first_failure

    @invariant()
    def nothing_idles(self) -> None:
        """What may be worked on is worked on: a free slot and a key with nothing before it are enough."""
        if not hasattr(self, "work") or self.dropping is not None:
            return
        active = self.active()
        if len(active) < self.in_flight:
            waiting = [item for item in self.submitted if item.state == "waiting"]
            if self.submitting is not None:
                waiting = [item for item in waiting if item is not self.last]
            assert {item.key for item in waiting} <= {item.key for item in active}
        if self.submitting is not None:
            assert len(self.work) == self.waiting, "it waits for room alone"

    def teardown(self) -> None:
        try:
            if hasattr(self, "work"):
                for item in self.all:
                    item.cleaned_up.set()
                self.runner.run(self.work.drop())
                assert len(self.work) == 0
        finally:
            self.runner.close()


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
