"""The health check of services that serve nothing, against real connections of this machine."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "deploy/connected.py"

pytestmark = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="/proc/net/tcp is there on Linux only")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603  # our own


def test_a_listening_port_is_not_a_connection_and_a_connection_is() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = str(server.getsockname()[1])
        before = run(port)
        assert (before.returncode, before.stdout) == (1, f"no connection to port {port}\n")
        with socket.create_connection(server.getsockname()):
            assert run(port).returncode == 0
            both = run(port, "1")
            assert (both.returncode, both.stdout) == (1, "no connection to port 1\n")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_a_connection_by_ipv6_counts() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        address = server.getsockname()
        with socket.create_connection(address[:2]):
            assert run(str(address[1])).returncode == 0


@pytest.mark.parametrize("arguments", [(), ("kafka",)])
def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).returncode == 2
