"""The ceiling: the wire limit with all that Tidegate does to be fast, and none of what it does to be right.

As in `wire_limit`, what is copied was encoded beforehand. But here the partitions are dealt out to four connections,
each with a thread, so that consuming and writing overlap, and a buffer's rows are in the order of the table's key.
"""

import os
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import psycopg
from confluent_kafka import Message

from scripts.benches.peers.wire_limit import BATCH, COPY, LONGEST_S, consumer, encoded

CONNECTIONS = 4
# As Tidegate's own client fetches.
FETCHING = {
    "queued.min.messages": 20 * BATCH,
    "queued.max.messages.kbytes": 32 * 1024,
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 10,
}


def beforehand(expected: int) -> dict[int, list[tuple[int, bytes]]]:
    """Read all messages and encode them: of each connection, the buffers, and after how many messages each is due."""
    first, dealt, seen = consumer(os.environ["BENCH_GROUP"] + "-beforehand"), defaultdict[int, list[Message]](list), 0
    deadline = time.monotonic() + LONGEST_S
    while seen < expected:
        for message in first.consume(min(BATCH, expected - seen), 5.0):
            dealt[(message.partition() or 0) % CONNECTIONS].append(message)
            seen += 1
        if time.monotonic() > deadline:
            raise TimeoutError("the messages could not be read beforehand")
    first.close()
    return {
        writer: [
            (min(start + BATCH, len(messages)), encoded(messages[start : start + BATCH], in_order=True))
            for start in range(0, len(messages), BATCH)
        ]
        for writer, messages in dealt.items()
    }


def write(connection: psycopg.Connection, buffer: bytes) -> None:
    """Copy a buffer, in a transaction."""
    with connection.transaction(), connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(buffer)


def main() -> None:
    """Consume, and hand each connection what is due; until killed."""
    buffers = beforehand(int(os.environ["BENCH_MESSAGES"]))
    connections = [psycopg.connect(os.environ["BENCH_DATABASE"], autocommit=True) for _ in range(CONNECTIONS)]
    threads = [ThreadPoolExecutor(max_workers=1) for _ in connections]
    reader, consumed = consumer(os.environ["BENCH_GROUP"], **FETCHING), [0] * CONNECTIONS
    while True:
        for message in reader.consume(BATCH, 0.1):
            consumed[(message.partition() or 0) % CONNECTIONS] += 1
        for writer, due in buffers.items():
            while due and consumed[writer] >= due[0][0]:
                threads[writer].submit(write, connections[writer], due.pop(0)[1])


if __name__ == "__main__":
    main()
