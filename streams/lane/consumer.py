"""Faust's consumer on the lane's own Kafka client: an event is a batch, and the agent says where to start and commit.

Agents, streams, flow control and the order of a rebalance stay Faust's. The overridden methods with an underscore are
private to faust-streaming 0.15.3: the version is pinned, and `tests/unit/streams/lane` holds the subclass against it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Protocol

from faust.transport import base
from faust.transport.consumer import Consumer
from faust.types import TP, ConsumerMessage

from streams.lane.client import Client, Partition

LEAVE_POLL_S = 0.05


class Keeper(Protocol):
    """Who keeps the positions of the partitions: an agent's own bookkeeping, outside Kafka."""

    async def take_over(self, partitions: frozenset[TP], generation: int) -> Mapping[TP, int]:
        """Become the owner of these and no other partitions; give the offset to read each from.

        A partition that is missing from the answer is read from the group's committed offset. Called at least once for
        every generation of the group, and again within one when reading has to be taken up anew.
        """

    async def leave(self) -> None:
        """Bring what is in hand to a safe place: some or all partitions are about to go to another worker."""

    @property
    def broken(self) -> bool:
        """Say whether the agent has failed, so that nobody should wait for it."""


class LaneConsumer(Consumer):  # type: ignore[misc]  # Faust has no types that mypy can follow
    """Delivers batches, starts where the keeper says, commits what was released and nothing else."""

    keeper: Keeper  # set by LaneApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Faust gives a consumer."""
        super().__init__(*args, **kwargs)
        self._released: dict[TP, int] = {}
        self.client = Client(self.app.client_settings, self, batch_records=self.app.conf.broker_max_poll_records)

    def release(self, tp: TP, offset: int) -> None:
        """Say that records below `offset` are never needed again: the next commit may carry it."""
        self._released[tp] = offset

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group; a lane's topics never change."""
        self.client.start(sorted(topics))

    async def on_stop(self) -> None:
        """Finish what is in hand, then leave the group."""
        await super().on_stop()
        await self.client.stop()

    # -- one event is a batch ------------------------------------------------------------------------------------------

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ARG002, ASYNC109  # Faust's signature
        """Give batches of records, each of one partition, as they come."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        fetching = asyncio.ensure_future(self.client.fetch())
        try:
            await self.wait(fetching)
        finally:
            fetching.cancel()
        if self.should_stop or not fetching.done() or fetching.cancelled():
            return
        fetched = fetching.result()
        for partition, records in fetched.records.items():
            if not self.flow_active or fetched.generation != self.app.consumer_generation_id:
                return  # they are read again from where their next owner wants them
            tp = TP(*partition)
            yield tp, self._to_message(tp, records)

    def _to_message(self, tp: TP, record: Any) -> ConsumerMessage:
        last = record[-1]
        kind, timestamp = last.timestamp()
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset(),
            timestamp / 1000.0,
            kind,
            (),
            None,
            record,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    # -- partitions come and go (streams.lane.client.Owner) ------------------------------------------------------------

    def rebalancing(self) -> None:
        """Let Faust know that partitions change hands."""
        if not self.app.rebalancing:
            self.app.on_rebalance_start()

    async def assigned(self, partitions: frozenset[Partition], generation: int) -> None:
        """Let Faust take partitions over."""
        self.app.consumer_generation_id = generation
        await self.on_partitions_assigned({TP(*partition) for partition in partitions}, generation)

    async def revoked(self, partitions: frozenset[Partition]) -> None:
        """Let Faust finish what is in hand."""
        await self.on_partitions_revoked({TP(*partition) for partition in partitions})

    def failed(self, error: BaseException) -> None:
        """End the worker: nothing is read any more."""
        self.add_future(self.app.crash(error))

    # -- where to start ------------------------------------------------------------------------------------------------

    async def perform_seek(self) -> None:
        """Read every partition from where its keeper wants it, or else from the committed offset."""
        self._released.clear()
        generation = self.app.consumer_generation_id
        assigned = frozenset(self.assignment())
        try:
            positions = await self.keeper.take_over(assigned, generation)
            await self.client.start_at(positions, generation)
        except Exception as error:
            # Faust logs and swallows what is raised in some of the places that call this; reading on from anywhere
            # else would skip records or store them twice.
            await self.app.crash(error)
            raise
        for tp in assigned:
            self._read_offset[tp] = positions.get(tp) or None
            self._committed_offset[tp] = None
        for tp, offset in positions.items():
            # The committed offset follows the keeper's, for the tools that measure lag.
            self.release(tp, offset)
        self.app.on_reading()

    # -- when to commit ------------------------------------------------------------------------------------------------

    def ack(self, message: Any) -> bool:
        """Take note that a batch was processed. That alone commits nothing: `release` does."""
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        if self._waiting_for_ack is not None and not self._waiting_for_ack.done():
            self._waiting_for_ack.set_result(None)
        return True

    async def wait_empty(self) -> None:
        """Before partitions go: finish the batches in hand, let the keeper save its state, commit."""
        while self._unacked_messages and not self.keeper.broken:
            self._clean_unacked_messages()
            await asyncio.sleep(LEAVE_POLL_S)
        if not self.keeper.broken:
            await self.keeper.leave()
        await self.commit_and_end_transactions()

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Need no bookkeeping for holes in the log (compaction, transactions, batches)."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return (tp for tp in list(self._released) if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        return self._released.get(tp)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return await self.client.commit(offsets)

    # -- what else Faust asks of a consumer ----------------------------------------------------------------------------

    def assignment(self) -> set[TP]:
        """Give the partitions that are ours."""
        return {TP(*partition) for partition in self.client.assignment}

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    def topic_partitions(self, topic: str) -> int | None:  # noqa: ARG002  # Faust's signature
        """Know nothing of topics: connectors/kafka does."""
        return None

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Leave it to the lane's own watchdog to notice that nothing moves."""

    def _never(self, *_: Any, **__: Any) -> Any:
        """Be asked nothing more: a lane has no tables, declares no topics, and seeks in `perform_seek` alone."""
        raise NotImplementedError

    create_topic = earliest_offsets = highwater = highwaters = key_partition = _never
    position = seek_to_committed = seek_wait = _getmany = _seek = _never


class _NoProducer(base.Producer):  # type: ignore[misc]  # the same
    """The lane's agents write through connectors/kafka; Faust has nothing to produce."""

    async def flush(self) -> None:
        """Have nothing to write."""


class LaneTransport(base.Transport):  # type: ignore[misc]  # the same
    """Faust's way to Kafka, through the lane's client."""

    Consumer = LaneConsumer
    Producer = _NoProducer
    default_port = 9092
    driver_version = "tidegate"
