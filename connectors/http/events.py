"""Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

# Something is said at least so often, so that whoever is between does not take it for dead.
ALIVE_S: Final = 15.0


def stream(events: AsyncGenerator[tuple[str, str]]) -> StreamingResponse:
    """Send events, each of a name and data, as they come."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_written(events), media_type="text/event-stream", headers=headers)


async def _written(events: AsyncGenerator[tuple[str, str]]) -> AsyncGenerator[bytes]:
    async with aclosing(events):
        coming = asyncio.ensure_future(anext(events))
        try:
            while True:
                done, _ = await asyncio.wait({coming}, timeout=ALIVE_S)
                if not done:
                    yield KEEPALIVE_COMMENT
                    continue
                try:
                    name, data = coming.result()
                except StopAsyncIteration:
                    return
                yield format_sse_event(event=name, data_str=data)
                coming = asyncio.ensure_future(anext(events))
        finally:
            coming.cancel()
            await asyncio.wait({coming})
