"""Stand between clients and a Kafka broker that answers empty fetches at once, and hold those answers back a moment.

Kafka lets a consumer's fetch wait at the broker until there is something; `noida-db` does not wait, so an idle
consumer and the broker would ask and answer as fast as they can. Run as a script: `python -I -S fetch_pacing.py LISTEN
BROKER`, two loopback ports. Everything is passed on unchanged, but for the broker's port in its answers, which would
lead clients around this. An answer that cannot be read counts as one that brings something, and is passed on at once.
"""

import asyncio
import contextlib
import struct
import sys

LOOPBACK = "127.0.0.1"
HOLD_S = 0.05
FETCH = 1
FLEXIBLE_FETCH = 12  # from this version on, compact arrays and tagged fields
TOPIC_ID_FETCH = 13  # from this version on, topics go by id
SESSION_FETCH = 7  # from this version on, an error and a session of the whole answer
KNOWN_FETCH = range(4, 14)
# Metadata, FindCoordinator, DescribeCluster: the answers that say where the broker is.
LOCATING = (3, 10, 60)
READ_AHEAD = 1 << 20


class Reader:
    """Kafka's primitive types, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def integer(self, width: int) -> int:
        """Read a signed integer of `width` bytes."""
        self.at += width
        if self.at > len(self.data):
            raise ValueError
        return int.from_bytes(self.data[self.at - width : self.at], "big", signed=True)

    def varint(self) -> int:
        """Read an unsigned varint."""
        value = shift = 0
        while True:
            byte = self.integer(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte >= 0:
                return value

    def length(self, *, compact: bool, width: int = 4) -> int:
        """Read the length of an array, string or byte sequence; 0 for null."""
        return max(0, self.varint() - 1 if compact else self.integer(width))

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        self.at += size

    def tags(self, *, compact: bool) -> None:
        """Pass over tagged fields."""
        for _ in range(self.varint() if compact else 0):
            self.varint()
            self.skip(self.varint())


def brings_nothing(answer: bytes, version: int) -> bool:
    """Say whether a fetch answer (from its correlation id on) has neither a record nor an error."""
    if version not in KNOWN_FETCH:
        return False
    compact = version >= FLEXIBLE_FETCH
    reader = Reader(answer)
    try:
        reader.integer(4)  # correlation id
        reader.tags(compact=compact)
        reader.integer(4)  # throttle time
        errors_and_bytes = 0
        if version >= SESSION_FETCH:
            errors_and_bytes = abs(reader.integer(2))
            reader.integer(4)  # session
        for _ in range(reader.length(compact=compact)):
            reader.skip(16 if version >= TOPIC_ID_FETCH else reader.length(compact=compact, width=2))
            for _ in range(reader.length(compact=compact)):
                errors_and_bytes += _partition(reader, version, compact=compact)
            reader.tags(compact=compact)
    except ValueError:
        return False
    return errors_and_bytes == 0


def _partition(reader: Reader, version: int, *, compact: bool) -> int:
    reader.integer(4)  # index
    error = abs(reader.integer(2))
    reader.skip(24 if version >= 5 else 16)  # noqa: PLR2004 - high watermark, last stable offset; log start from 5 on
    for _ in range(reader.length(compact=compact)):  # aborted transactions
        reader.skip(16)
        reader.tags(compact=compact)
    reader.skip(4 if version >= 11 else 0)  # noqa: PLR2004 - preferred read replica came with version 11
    size = reader.length(compact=compact)
    reader.skip(size)
    reader.tags(compact=compact)
    return error + size


async def message(stream: asyncio.StreamReader) -> bytes:
    """Read one message, without its length."""
    (size,) = struct.unpack(">i", await stream.readexactly(4))
    return await stream.readexactly(size)


class Pacing:
    """One listening port in front of one broker port."""

    def __init__(self, listen: int, broker: int) -> None:
        self.listen = listen
        self.broker = broker

    async def connection(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Serve one client until either side closes."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            broker, to_broker = await asyncio.open_connection(LOOPBACK, self.broker, limit=READ_AHEAD)
            asked: dict[int, tuple[int, int]] = {}
            ways = [
                asyncio.ensure_future(self._requests(client, to_broker, asked)),
                asyncio.ensure_future(self._answers(broker, to_client, asked)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                to_broker.close()
        to_client.close()

    async def _requests(
        self, client: asyncio.StreamReader, to_broker: asyncio.StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        while True:
            request = await message(client)
            kind, version, correlation = struct.unpack_from(">hhi", request)
            if kind == FETCH or kind in LOCATING:
                asked[correlation] = (kind, version)
            to_broker.write(struct.pack(">i", len(request)) + request)
            await to_broker.drain()

    async def _answers(
        self, broker: asyncio.StreamReader, to_client: asyncio.StreamWriter, asked: dict[int, tuple[int, int]]
    ) -> None:
        # "127.0.0.1" and the port follow each other in every answer that locates the broker, in every version.
        here = LOOPBACK.encode() + struct.pack(">i", self.listen)
        there = LOOPBACK.encode() + struct.pack(">i", self.broker)
        while True:
            answer = await message(broker)
            kind, version = asked.pop(int.from_bytes(answer[:4], "big", signed=True), (-1, 0))
            if kind in LOCATING:
                answer = answer.replace(there, here)
            elif kind == FETCH and brings_nothing(answer, version):
                await asyncio.sleep(HOLD_S)
            to_client.write(struct.pack(">i", len(answer)) + answer)
            await to_client.drain()

    async def serve(self) -> None:
        """Listen until the process is ended."""
        server = await asyncio.start_server(self.connection, LOOPBACK, self.listen, limit=READ_AHEAD)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(Pacing(int(sys.argv[1]), int(sys.argv[2])).serve())
