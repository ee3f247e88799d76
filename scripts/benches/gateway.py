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
READY_WITHIN_S = 45.0
ANSWER_WITHIN_S = 30.0
POLL_S = 0.05


class GatewayError(ConnectorError):
    """The gateway does not run, or did not accept what was posted."""


@contextmanager
def running(python: str, settings: Settings, folder: Path) -> Iterator[tuple[Watched, int]]:
    """Run a gateway; give the process and its port."""
    port = ports.free()
    variables = {**environment(settings), "TIDEGATE_HTTP__PORT": str(port), "TIDEGATE_HTTP__OPEN": "true"}
    with watched((python, *COMMAND), folder=folder, environment=variables) as process:
        deadline = time.monotonic() + READY_WITHIN_S
        while not _answers(port):
            if not process.alive or time.monotonic() > deadline:
                raise GatewayError(f"the gateway does not answer: {process.last_words()}")
            time.sleep(POLL_S)
        yield process, port


def post(port: int, bodies: Sequence[bytes], connections: int) -> None:
    """Post all bodies, each connection its share, one after the other as they are answered.

    Raises:
        GatewayError: it did not accept all of a body.

    """

    def share(part: int) -> None:
        connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=ANSWER_WITHIN_S)
        try:
            for body in bodies[part::connections]:
                connection.request("POST", "/v1/readings", body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != HTTPStatus.ACCEPTED:
                    raise GatewayError(f"the gateway answered {answer.status}: {said[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            raise GatewayError(f"the gateway does not answer: {error}") from error
        finally:
            connection.close()

    with ThreadPoolExecutor(connections) as pool:
        for done in [pool.submit(share, part) for part in range(connections)]:
            done.result()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
