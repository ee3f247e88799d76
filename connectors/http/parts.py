"""What the gateway is made of: everything it needs from outside, as protocols, handed over by whoever builds it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from connectors.clock import Clock, SystemClock
from connectors.keys import ApiKey
from schemas.models import AnalysisRequest, Insight
from schemas.topics import ANALYSIS_REQUESTS, READINGS

Delivery = Callable[[Exception | None], None]

# Raises `schemas.errors.TidegateError` (or OSError) with the reason where a part is not ready.
Check = Callable[[], Awaitable[object]]


# Deletes all that is stored of a device, for whoever is named, and says how many rows of what.
Erase = Callable[[str, str], Awaitable[Mapping[str, int]]]
Overview = Callable[[], Awaitable[Mapping[str, object]]]


class Producer(Protocol):
    """What writes to Kafka (`connectors.kafka.producer.Producer`)."""

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        *,
        headers: Mapping[str, bytes] | None = None,
        on_delivery: Delivery,
    ) -> None:
        """Queue one record; `on_delivery` gets None, or why it was not written, from any thread.

        Raises:
            SlowDownError: nothing was taken; try again after a pause.

        """


class Device(Protocol):
    """A device that has spoken."""

    @property
    def device_id(self) -> str:
        """Its id."""

    @property
    def device_class(self) -> str:
        """Its class, or nothing."""

    @property
    def units(self) -> Mapping[str, str]:
        """The unit of each metric that it gave one for."""

    @property
    def tags(self) -> Mapping[str, str]:
        """What it says of itself."""

    @property
    def first_seen(self) -> datetime:
        """When its first reading was accepted."""

    @property
    def last_seen(self) -> datetime:
        """When its latest reading was accepted."""


class StoredReading(Protocol):
    """One stored value."""

    @property
    def ts(self) -> datetime:
        """When it was measured."""

    @property
    def metric(self) -> str:
        """What was measured."""

    @property
    def value(self) -> float:
        """The value."""


class StoredPoint(Protocol):
    """What was read at one instant, or within a minute or an hour from it on."""

    @property
    def ts(self) -> datetime:
        """When."""

    @property
    def mean(self) -> float | None:
        """The mean; None where no value is small enough to have one."""

    @property
    def low(self) -> float:
        """The lowest."""

    @property
    def high(self) -> float:
        """The highest."""

    @property
    def n(self) -> int:
        """How many readings."""


class StoredSeries(Protocol):
    """One metric of a device over time."""

    @property
    def resolution(self) -> str:
        """`raw`, `1m` or `1h`."""

    @property
    def points(self) -> Sequence[StoredPoint]:
        """Oldest first."""


class Reader(Protocol):
    """What reads from the database (`connectors.timescale.reader.Reader`).

    Its methods raise `SlowDownError` where it is busy, and other `ConnectorError`s where it cannot be reached.
    """

    async def open(self) -> None:
        """Begin; does not wait for the database."""

    async def close(self) -> None:
        """End."""

    async def devices(self, *, tenant: str | None, prefix: str, after: str, limit: int) -> Sequence[Device]:
        """List the devices (of one tenant) whose ids begin so and come after `after`, in the order of their ids."""

    async def readings(
        self, device_id: str, *, metric: str | None, start: datetime | None, end: datetime | None, limit: int
    ) -> Sequence[StoredReading]:
        """Give the newest readings from `start` on and before `end`, newest first."""

    async def series(
        self, device_id: str, metric: str, *, start: datetime | None, end: datetime | None, points: int
    ) -> StoredSeries:
        """Give one metric of a device from `start` on and before `end`, in no more than so many points."""

    async def metrics(self, device_id: str, *, limit: int) -> Sequence[str]:
        """Give the metrics that a device has readings of, in order."""

    async def insights(
        self, *, tenant: str | None, only: Mapping[str, str], before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[Insight]:
        """List insights (of one tenant; with the values in `only`), newest first, those behind `before`."""


class Task(Protocol):
    """A question of a person, and how far its answer has come."""

    @property
    def request(self) -> AnalysisRequest:
        """What was asked."""

    @property
    def tenant(self) -> str:
        """Whose it is."""

    @property
    def state(self) -> str:
        """`queued`, `running`, `retrying`, `succeeded`, `failed` or `cancelled`."""

    @property
    def attempts(self) -> int:
        """How often somebody began to work on it."""

    @property
    def due(self) -> datetime:
        """When a model is asked again, while it is `retrying`."""

    @property
    def created(self) -> datetime:
        """When it was handed in."""

    @property
    def started(self) -> datetime | None:
        """When somebody first began to work on it."""

    @property
    def updated(self) -> datetime:
        """When its state changed."""

    @property
    def error(self) -> str | None:
        """Why it has failed."""

    @property
    def insight(self) -> Insight | None:
        """The answer."""


class Desk(Protocol):
    """Where tasks are kept (`connectors.timescale.desk.Desk`). Its methods raise as those of `Reader` do."""

    async def open(self) -> None:
        """Begin; does not wait for the database."""

    async def close(self) -> None:
        """End."""

    async def add(self, request: AnalysisRequest, at: datetime) -> None:
        """Add a task that waits; one that is there already stays as it is."""

    async def find(self, task_id: str) -> Task | None:
        """Give a task."""

    async def cancel(self, task_id: str, at: datetime) -> bool:
        """End a task that has not ended; say whether it was so."""


class KeyRing(Protocol):
    """Who knows keys and owners (`connectors.timescale.keys.KeyRing`). Its methods raise as those of `Reader` do."""

    async def open(self) -> None:
        """Begin; does not wait for the database."""

    async def close(self) -> None:
        """End."""

    async def find(self, key_id: str) -> ApiKey | None:
        """Give a key."""

    async def owners(self, device_ids: Collection[str]) -> Mapping[str, str]:
        """Give the tenant of each device that there is."""

    async def claim(self, device_ids: Collection[str], tenant: str, at: datetime) -> Mapping[str, str]:
        """Give the tenant of each device; those that there are not become this one's."""


class Remarks(Protocol):
    """Who takes what people say of insights (`streams.app.remarks.Remarks`). Its methods raise as `Reader`'s do."""

    async def tenant_of(self, insight_id: str) -> str | None:
        """Say whose an insight is; None: there is none."""

    async def say(self, insight_id: str, verdict: str, note: str, who: str) -> None:
        """Keep a remark."""


class Bell(Protocol):
    """Who says that something may have happened to a task (`connectors.redis.bell.Bell`)."""

    @property
    def works(self) -> bool:
        """Whether it would be heard now. If not, one has to look."""

    def hear(self, task_id: str) -> AbstractContextManager[asyncio.Event]:
        """Give an event that is set when something may have happened to a task."""

    def ring(self, task_id: str) -> None:
        """Say that something has happened to a task. Waits for nothing."""


class Results(Protocol):
    """Where tasks that have ended are kept for a while (`connectors.redis.results.Results`). Nothing fails."""

    async def find(self, task_id: str) -> bytes | None:
        """Give what was kept."""

    async def keep(self, task_id: str, text: bytes) -> None:
        """Keep it for a while."""


class NoBell:
    """Nobody says anything."""

    works = False

    def hear(self, task_id: str) -> AbstractContextManager[asyncio.Event]:
        """Give an event that nobody sets."""
        del task_id
        return nullcontext(asyncio.Event())

    def ring(self, task_id: str) -> None:
        """Say nothing."""


class NoResults:
    """Nothing is kept."""

    async def find(self, task_id: str) -> bytes | None:
        """Find nothing."""
        del task_id
        return None

    async def keep(self, task_id: str, text: bytes) -> None:
        """Keep nothing."""


@dataclass(frozen=True, slots=True)
class Parts:
    """All of it. `checks` says by name what has to work before the gateway calls itself ready."""

    producer: Producer
    reader: Reader
    desk: Desk
    checks: Mapping[str, Check] = field(default_factory=dict)
    clock: Clock = field(default_factory=SystemClock)
    topic: str = READINGS.name
    requests: str = ANALYSIS_REQUESTS.name
    region: str = ""
    # What writes questions, if it is another one: somebody waits for each, so it does not wait for more of them.
    prompt_producer: Producer | None = None
    # Without it nobody is asked for a key.
    keys: KeyRing | None = None
    bell: Bell = field(default_factory=NoBell)
    results: Results = field(default_factory=NoResults)
    remarks: Remarks | None = None
    erase: Erase | None = None
    # Says how everything does, as JSON has it; asks all servers, and may take a while.
    overview: Overview | None = None
    # What is entered when the gateway starts, and left when it ends.
    beside: Sequence[AbstractAsyncContextManager[object]] = ()
    # How many readings may wait for Kafka to confirm them; with more the next ones are turned away.
    most_in_flight: int = 100_000
    # How long a request waits for Kafka to confirm its readings. Kafka's client itself goes on for longer.
    acknowledge_s: float = 10.0
    body_s: float = 30.0
    check_s: float = 3.0
