"""Faust's consumer, taught three things: an event is a batch, and the agent says where to start and what to commit.

Group membership, rebalancing and fetching stay Faust's and aiokafka's. The overridden methods with an underscore are
private to faust-streaming 0.15.3: the version is pinned, and `tests/integration/lane` holds the subclass against it.
"""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

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


class LaneConsumer(driver.Consumer):  # type: ignore[misc]  # Faust has no types that mypy can follow
    """Delivers batches, starts where the keeper says, commits what was released and nothing else."""

    keeper: Keeper  # set by LaneApp

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take what Faust gives a consumer."""
        super().__init__(*args, **kwargs)
        self._released: dict[TP, int] = {}

    def release(self, tp: TP, offset: int) -> None:
        """Say that records below `offset` are never needed again: the next commit may carry it."""
        self._released[tp] = offset

    # -- one event is a batch ------------------------------------------------------------------------------------------

    def _to_message(self, tp: Any, record: Any) -> ConsumerMessage:
        last = record[-1]
        return ConsumerMessage(
            last.topic,
            last.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            (),
            None,
            record,
            None,
            0,
            0,
            TP(*tp),
            generation_id=self.app.consumer_generation_id,
        )

    # -- where to start ------------------------------------------------------------------------------------------------

    async def perform_seek(self) -> None:
        """Seek every partition to where its keeper wants it, or else to the committed offset."""
        self._released.clear()
        assigned = frozenset(TP(tp.topic, tp.partition) for tp in self.assignment())
        try:
            positions = await self.keeper.take_over(assigned, self.app.consumer_generation_id)
        except Exception as error:
            # Faust logs and swallows what is raised in some of the places that call this; reading on from anywhere
            # else would skip records or store them twice.
            await self.app.crash(error)
            raise
        if assigned - positions.keys():
            await super().perform_seek()
        for tp, offset in positions.items():
            await self.seek(tp, offset)
            # The committed offset follows the keeper's, for the tools that measure lag.
            self._committed_offset[tp] = None
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


class LaneTransport(driver.Transport):  # type: ignore[misc]  # the same
    """aiokafka's transport with the lane's consumer."""

    Consumer = LaneConsumer
