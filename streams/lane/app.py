"""A Faust app for topics in batches, with the settings that make it keep its promises."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import faust
from faust.sensors.prometheus import FaustMetrics, PrometheusMonitor
from faust.types import TP
from prometheus_client import CollectorRegistry

from connectors.clock import SystemClock
from connectors.kafka.admin import Admin
from connectors.kafka.settings import KafkaSettings
from schemas.errors import TidegateError
from streams.lane.consumer import Keeper, LaneConsumer, LaneTransport
from streams.lane.watch import Watch

log = logging.getLogger(__name__)

# How many batches may wait in front of the agent: more would only be memory.
QUEUED_BATCHES = 8

# What the names of Faust's metrics begin with.
FAUST = "faust"

MAX_POLL_S = 300
TAKE_OVER_S = 60.0
END_WITHIN_S = 5.0
FETCHED_AHEAD_KB = 32 * 1024


class LaneApp(faust.App):  # type: ignore[misc]  # Faust has no types that mypy can follow
    """One consumer group that reads topics in batches."""

    keeper: Keeper
    # librdkafka's settings of the lane's client.
    client_settings: Mapping[str, Any]
    # Why it ended, if it failed: the first reason, before those that only follow from it.
    failure: BaseException | None = None
    watch: Watch
    # What Faust tells Prometheus of this app.
    registry: CollectorRegistry
    # Called when all work has ended.
    endings: Sequence[Callable[[], Awaitable[None]]] = ()
    # Called whenever partitions have been taken over and reading starts.
    on_reading: Callable[[], None] = staticmethod(lambda: None)

    def _crash(self, reason: BaseException) -> None:
        if not isinstance(reason, asyncio.CancelledError):
            self.failure = self.failure or reason
        super()._crash(reason)

    def _new_transport(self) -> LaneTransport:
        return LaneTransport(self.conf.broker_consumer, self)

    def _new_consumer(self) -> LaneConsumer:
        consumer: LaneConsumer = super()._new_consumer()
        consumer.keeper = self.keeper
        return consumer

    def _create_directories(self) -> None:
        """Make none: the lane has no tables, so Faust keeps nothing on disk."""

    async def on_started(self) -> None:
        """Begin to look after the lane."""
        await super().on_started()
        self.add_future(self._watch())

    async def _watch(self) -> None:
        try:
            await self.watch.run(self.consumer.client)
        except Exception as error:  # noqa: BLE001  # whatever it is, nobody looks after the lane any more
            await self.crash(error)

    async def on_shutdown(self) -> None:
        """Let go of what the work needed."""
        await super().on_shutdown()
        for end in self.endings:
            try:
                async with asyncio.timeout(END_WITHIN_S):
                    await end()
            except (TidegateError, TimeoutError) as error:
                log.warning("not all was ended as it should: %s", error)

    def release(self, tp: TP, offset: int) -> None:
        """Let the group's committed offset of a partition move up to `offset`."""
        self.consumer.release(tp, offset)


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """What differs between one lane and another."""

    group: str
    topics: Sequence[str]
    batch_records: int
    # What to do where neither the keeper nor the group has a position: "error" fails instead of guessing.
    without_position: str


def lane_app(kafka: KafkaSettings, options: LaneOptions, keeper: Keeper) -> LaneApp:
    """Make the app of one lane; nothing is connected yet."""
    app = LaneApp(
        options.group,
        # Only a name to Faust: the lane's client is connected as `client_settings` say.
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        broker_client_id="tidegate",
        broker_commit_interval=1.0,
        broker_max_poll_records=options.batch_records,
        # How long Faust waits for partitions to be taken over (claims and snapshots are read from the database).
        broker_request_timeout=TAKE_OVER_S,
        broker_session_timeout=kafka.session_timeout_s,
        # False lost records on SIGTERM; True lets the batches in hand be finished.
        stream_wait_empty=True,
        stream_buffer_maxsize=QUEUED_BATCHES,
        # Topics are made by connectors/kafka, where their settings are.
        topic_allow_declare=False,
        topic_disable_leader=True,
        # An agent that fails ends the worker; whoever supervises the process starts it again from a safe position.
        agent_supervisor="mode.supervisors.CrashingSupervisor",
        autodiscover=False,
        store="memory://",
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.keeper = keeper
    app.registry = CollectorRegistry()
    app.monitor = PrometheusMonitor(metrics=FaustMetrics.create(app.registry, FAUST))
    app.watch = Watch(Admin(kafka), options.topics, SystemClock())
    app.client_settings = {
        **kafka.client(),
        "group.id": options.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": options.without_position,
        "partition.assignment.strategy": "range",
        "session.timeout.ms": int(kafka.session_timeout_s * 1000),
        "heartbeat.interval.ms": int(kafka.session_timeout_s * 200),
        # A stuck database holds up processing, not the group: the client goes on polling, with fetching paused. This
        # ends the membership of a worker whose client thread itself is stuck.
        "max.poll.interval.ms": MAX_POLL_S * 1000,
        "allow.auto.create.topics": False,
        # What may be fetched ahead: enough to keep the lane busy, little enough to be forgotten about.
        "queued.min.messages": 20 * options.batch_records,
        "queued.max.messages.kbytes": FETCHED_AHEAD_KB,
        "fetch.wait.max.ms": 100,
        # After the queue was full, look again soon: by default the fetcher sleeps for a second.
        "fetch.queue.backoff.ms": 10,
        "topic.metadata.refresh.interval.ms": 30_000,
        "log_level": 3,
    }
    return app


def lane_topic(app: LaneApp, *names: str) -> Any:
    """Subscribe to topics of which the agent gets lists of raw records, each of one partition."""
    return app.topic(*names, key_serializer="raw", value_serializer="raw", maxsize=QUEUED_BATCHES)
