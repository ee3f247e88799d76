"""A Faust app for one topic in batches, with the settings that make it keep its promises."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import faust
from faust.types import TP

from connectors.kafka.settings import KafkaSettings
from streams.lane.consumer import Keeper, LaneConsumer, LaneTransport
from streams.lane.scheduler import batches

# How many batches may wait in front of the agent: more would only be memory.
QUEUED_BATCHES = 8


class LaneApp(faust.App):  # type: ignore[misc]  # Faust has no types that mypy can follow
    """One consumer group that reads topics in batches."""

    keeper: Keeper
    # Why it ended, if it failed: the first reason, before those that only follow from it.
    failure: BaseException | None = None
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

    def release(self, tp: TP, offset: int) -> None:
        """Let the group's committed offset of a partition move up to `offset`."""
        self.consumer.release(tp, offset)


@dataclass(frozen=True, slots=True)
class LaneOptions:
    """What differs between one lane and another."""

    group: str
    batch_records: int
    # What to do where neither the keeper nor the group has a position: "none" fails instead of guessing.
    without_position: str


def lane_app(kafka: KafkaSettings, options: LaneOptions, keeper: Keeper) -> LaneApp:
    """Make the app of one lane; nothing is connected yet."""
    app = LaneApp(
        options.group,
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=_credentials(kafka),
        broker_client_id="tidegate",
        broker_commit_interval=1.0,
        broker_max_poll_records=options.batch_records,
        # A stuck database holds up processing, not the group: heartbeats go on, and what is fetched waits.
        broker_max_poll_interval=900.0,
        broker_request_timeout=60.0,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.session_timeout_s / 5,
        consumer_auto_offset_reset=options.without_position,
        ConsumerScheduler=batches(options.batch_records),
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
    return app


def lane_topic(app: LaneApp, name: str) -> Any:
    """Subscribe to a topic of which the agent gets lists of raw records."""
    return app.topic(name, key_serializer="raw", value_serializer="raw", maxsize=QUEUED_BATCHES)


def _credentials(kafka: KafkaSettings) -> "faust.auth.Credentials | None":
    context = _ssl_context(kafka) if kafka.security_protocol in {"SSL", "SASL_SSL"} else None
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            ssl_context=context,
            mechanism=kafka.sasl_mechanism or "PLAIN",
        )
    return None if context is None else faust.SSLCredentials(context)


def _ssl_context(kafka: KafkaSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=kafka.ssl_ca_location or None)
    if kafka.ssl_certificate_location:
        context.load_cert_chain(kafka.ssl_certificate_location, kafka.ssl_key_location or None)
    return context
