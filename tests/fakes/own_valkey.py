"""A Valkey that a test may kill, stop and empty: a process of its own."""

from pathlib import Path

import psutil
import redis

from connectors.embedded import valkey
from connectors.embedded.server import Server


class OwnValkey:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = self.start()

    @property
    def url(self) -> str:
        return self.server.address

    def start(self) -> Server:
        """Start it, again where it was before."""
        self.server = valkey._from_wheel(self._folder, lambda _: None)  # noqa: SLF001 - a process, never Docker
        return self.server

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def process(self) -> psutil.Process:
        with self.client() as client:
            return psutil.Process(int(client.info("server")["process_id"]))

    def kill(self) -> None:
        process = self.process()
        process.kill()
        process.wait(10)
        self.server.stop()
