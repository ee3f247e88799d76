"""Run the amqtt broker on one loopback port: `python -m connectors.embedded.amqtt_broker PORT`.

amqtt queues nothing for a client that its own anonymous plugin let in; the plugin here lets everybody in (the listener
is on loopback) without that mark, so that persistent sessions are queued for while this process lives.
"""

import asyncio
import contextlib
import signal
import sys

from amqtt.broker import Broker
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class LoopbackPlugin(BaseAuthPlugin):  # type: ignore[misc]  # amqtt is not followed by mypy
    """Accept every client of this machine."""

    async def authenticate(self, *, session: Session) -> bool:
        """Accept; unlike amqtt's own plugin, do not mark the session as anonymous."""
        return session is not None


async def run(port: int) -> None:
    """Serve until asked to stop."""
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {f"connectors.embedded.amqtt_broker.{LoopbackPlugin.__name__}": {}},
        }
    )
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    await broker.start()
    await asked.wait()
    with contextlib.suppress(asyncio.CancelledError):
        await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1])))
