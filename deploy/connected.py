"""Say by the exit code whether this container holds an established TCP connection to each of the ports named.

The health check of services that serve nothing: a worker that lost its broker or its database is not healthy. (That it
also works, the lag of its group tells.) Linux only, by /proc/net/tcp: nothing is connected or sent for the question.
"""  # noqa: INP001  # a program of the image, not part of the package

import sys
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# The kernel's number of the state, include/net/tcp_states.h.
ESTABLISHED = "01"


def connected_ports(tables: tuple[Path, ...] = TABLES) -> set[int]:
    """Give the remote ports of all established connections."""
    ports = set()
    for table in tables:
        if not table.exists():  # No IPv6 here.
            continue
        for line in table.read_text("ascii").splitlines()[1:]:
            _, _, remote, state, *_ = line.split()
            if state == ESTABLISHED:
                ports.add(int(remote.rpartition(":")[2], 16))
    return ports


def main(arguments: list[str]) -> int:
    """Check the ports; name those that are missing."""
    if not arguments or not all(argument.isdecimal() for argument in arguments):
        sys.stderr.write("usage: connected.py PORT...\n")
        return 2
    missing = {int(argument) for argument in arguments} - connected_ports()
    if missing:
        sys.stdout.write(f"no connection to port {', '.join(map(str, sorted(missing)))}\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
