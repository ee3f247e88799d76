"""Detector state as of an offset: written in blocks, only those that changed, in one transaction with its mark."""

from collections.abc import Mapping

from psycopg import Connection

from connectors.timescale import ledger
from connectors.timescale.ledger import PartitionKey, Row
from connectors.timescale.queries import query


def save(  # one row of one table, named
    connection: "Connection[Row]",
    key: PartitionKey,
    epoch: int,
    *,
    offset: int,
    detector: str,
    blocks: Mapping[int, bytes],
) -> None:
    """Store what changed since the last snapshot; from now on a new owner starts at `offset`.

    Raises:
        FencedError: another worker owns the partition now.

    """
    values = {**key.parameters(), "detector": detector, "snapshot_offset": offset}
    with connection.transaction(), connection.cursor() as cursor:
        ledger.lock(cursor, key, epoch)
        cursor.execute(query("forget_foreign_blocks"), values)
        if blocks:
            cursor.executemany(
                query("save_block"), [{**values, "block": block, "state": state} for block, state in blocks.items()]
            )
        cursor.execute(query("advance_snapshot"), values)


def load(connection: "Connection[Row]", key: PartitionKey, detector: str) -> dict[int, bytes]:
    """Give the blocks that this detector wrote; none where another version wrote them."""
    rows = connection.execute(query("load_blocks"), {**key.parameters(), "detector": detector}).fetchall()
    return {
        block: bytes(state)
        for block, state in rows
        if isinstance(block, int) and isinstance(state, (bytes, memoryview))
    }
