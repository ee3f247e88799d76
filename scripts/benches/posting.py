"""A gateway process, and clients that post to it over connections that stay open."""

import http.client
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from connectors.embedded import ports
from connectors.errors import ConnectorError
from scripts.benches.processes import Watched, watched
from scripts.benches.servers import environment
from streams.settings import Settings

COMMAND = ("-m", "streams.cli.main", "gateway")
BARE = (str(Path(__file__).parent / "peers" / "bare_gateway.py"),)
READY_WITHIN_S = 45.0
ANSWER_WITHIN_S = 30.0
POLL_S = 0.05


class GatewayError(ConnectorError):
    """The gateway does not run, or did not accept what was posted."""


@contextmanager
def running(
    python: str, settings: Settings, folder: Path, command: Sequence[str] = COMMAND
) -> Iterator[tuple[Watched, int]]:
    """Run a gateway, ours or another one; give the process and its port."""
    port = ports.free()
    variables = {**environment(settings), "TIDEGATE_HTTP__PORT": str(port), "TIDEGATE_HTTP__OPEN": "true"}
    with watched((python, *command), folder=folder, environment=variables) as process:
        deadline = time.monotonic() + READY_WITHIN_S
        while not _answers(port):
            if not process.alive or time.monotonic() > deadline:
                raise GatewayError(f"the gateway does not answer: {process.last_words()}")
            time.sleep(POLL_S)
        yield process, port


def post(
    port: int, bodies: Sequence[bytes], connections: int, *, path: str = "/v1/readings", every_s: float = 0.0
) -> list[float]:
    """Post all bodies, each connection its share; give the seconds that each took, in whatever order.

    A connection posts its next body when the last is answered, or `every_s` after the last was to be posted: so a slow
    answer counts for all that had to wait for it.

    Raises:
        GatewayError: it did not accept all of a body.

    """
    began = time.perf_counter()

    def share(part: int) -> list[float]:
        took: list[float] = []
        connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=ANSWER_WITHIN_S)
        try:
            for number, body in enumerate(bodies[part::connections]):
                due = began + (number + part / connections) * every_s if every_s else time.perf_counter()
                time.sleep(max(0.0, due - time.perf_counter()))
                connection.request("POST", path, body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != HTTPStatus.ACCEPTED:
                    raise GatewayError(f"the gateway answered {answer.status}: {said[:200]!r}")
                took.append(time.perf_counter() - due)
        except (OSError, http.client.HTTPException) as error:
            raise GatewayError(f"the gateway does not answer: {error}") from error
        finally:
            connection.close()
        return took

    with ThreadPoolExecutor(connections) as pool:
        shares = [pool.submit(share, part) for part in range(connections)]
        return [one for done in shares for one in done.result()]


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
