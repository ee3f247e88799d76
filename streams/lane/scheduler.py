"""Hands out what was fetched in lists: one event of the stream is a batch of records of one partition."""

from collections.abc import Iterator, Mapping
from typing import Any

from faust.transport.utils import DefaultSchedulingStrategy


def batches(size: int) -> type[DefaultSchedulingStrategy]:
    """Make a scheduling strategy (Faust's setting `ConsumerScheduler`) for batches of at most `size` records.

    Stock Faust makes about eleven event-loop callbacks and four tasks for every event; a batch makes as many as one
    record did.
    """

    class BatchScheduler(DefaultSchedulingStrategy):  # type: ignore[misc]  # Faust has no types that mypy can follow
        def iterate(self, records: Mapping[Any, list[Any]]) -> Iterator[tuple[Any, list[Any]]]:
            waiting = {tp: 0 for tp, fetched in records.items() if fetched}
            while waiting:  # in turns, so that no partition waits for the end of another's backlog
                for tp, start in list(waiting.items()):
                    fetched = records[tp]
                    yield tp, fetched[start : start + size]
                    if start + size < len(fetched):
                        waiting[tp] = start + size
                    else:
                        del waiting[tp]

    return BatchScheduler
