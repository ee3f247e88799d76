"""`tidegate up`: everything on this machine, in front, until Ctrl-C."""

import contextlib
import time

from streams.cli.logs import log_to_stderr
from streams.cli.output import Json, StoppedError, say, show, stop_signals
from streams.pipeline import running
from streams.settings import load

EXAMPLES = (
    "Examples: [bold]tidegate up[/] · [bold]tidegate up --json[/] · "
    "[bold]TIDEGATE_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 tidegate up[/]"
)

POLL_S = 0.5


def command(*, as_json: Json = False) -> None:
    """Start the servers that no setting names, the bridge, the workers and the gateway, and stay in front."""
    settings = load()
    log_to_stderr(settings)
    with contextlib.suppress(StoppedError), stop_signals(), running(settings, say) as pipeline:
        say(f"dashboard and API: {pipeline.reached}")
        show(pipeline.describe(), as_json=as_json)
        while True:
            time.sleep(POLL_S)
            pipeline.watch()
