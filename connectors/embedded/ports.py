"""Free loopback ports, the same from one run to the next where they are still free.

They are taken from below the range that outgoing connections use, or a client's connection could sit on the port that a
server wants back.
"""

import json
import secrets
import socket
import threading
from pathlib import Path

from connectors.errors import ConnectorError

LOOPBACK = "127.0.0.1"
LOWEST, HIGHEST = 15_000, 32_000
TRIES = 200
ENDS = 65_536

_given_out: set[int] = set()
_guard = threading.Lock()


def is_free(port: int) -> bool:
    """Say whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free() -> int:
    """Find a free port that this process has not given out before."""
    for _ in range(TRIES):
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        with _guard:
            if port in _given_out or not is_free(port):
                continue
            _given_out.add(port)
        return port
    raise ConnectorError(f"no free port between {LOWEST} and {HIGHEST} on {LOOPBACK}")


def kept(folder: Path, *names: str) -> list[int]:
    """Give one port a name: those of the last run (in `folder/ports.json`), another where one is taken by now."""
    file = folder / "ports.json"
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        before = {}
    ports = {}
    for name in names:
        port = before.get(name) if isinstance(before, dict) else None
        ports[name] = port if isinstance(port, int) and port in range(1, ENDS) and is_free(port) else free()
    if ports != before:
        file.write_text(json.dumps(ports), encoding="utf-8")
    return list(ports.values())
