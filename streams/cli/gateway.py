"""`tidegate gateway`: HTTP for devices, people and other services."""

import gc
import logging

from connectors.http.serve import serve
from streams import measured, reachable, registered
from streams.app.gateway import build
from streams.cli.logs import log_to_stderr
from streams.cli.output import ReadyFile, mark_ready, say
from streams.settings import load

EXAMPLES = "Example: [bold]TIDEGATE_HTTP__PORT=8080 tidegate gateway[/]"

log = logging.getLogger(__name__)


def command(ready_file: ReadyFile = None) -> None:
    """Run the gateway until it is told to stop."""
    settings = load()
    log_to_stderr(settings)
    reachable.check(settings)
    registered.adopt(settings)
    if settings.http.open:
        log.warning("the gateway asks nobody for a key: whoever uses this machine may write and read")
    measured.serve(settings, measured.Part.GATEWAY)
    gateway, producers = build(settings)

    def ready(url: str) -> None:
        # What is there by now stays: else each collection of garbage would look through all of it again, for 35 ms.
        gc.collect()
        gc.freeze()
        say(f"the gateway answers at {url}")
        mark_ready(ready_file)

    try:
        serve(gateway, settings.http.host, settings.http.port, ready)
    finally:
        for producer in producers:
            producer.close()
